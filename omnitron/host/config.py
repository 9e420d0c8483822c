"""An app's configuration: files and environment variables, merged into one read-only mapping.

Values may be secrets: no message holds one, only keys, names, files and lines.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from omnitron.host.config_files import TOO_DEEP, ConfigError, Data, json_value, read, too_deep

MISSING: Any = object()
"""Marks a missing default of `Config.at`."""


@dataclass(frozen=True, slots=True)
class ConfigSource:
    """One place where configuration comes from.

    `path` (of a file; `.json`, `.toml`, `.yaml` or `.yml`) is relative to the configuration's folder.
    `prefix` is the start of the names of environment variables (None: all variables); for a file it is the
    dotted key below which its content is put. An `optional` file may be missing.
    """

    type: Literal["file", "env"]
    path: str | None = None
    prefix: str | None = None
    optional: bool = False


class Config(Mapping[str, Any]):
    """An app's configuration: nested mappings, in which later sources override earlier ones. Read-only.

    Mappings merge key by key, everything else replaces. Nested mappings are read-only too, lists are
    tuples; one that was read before a `reload` does not change with it.

    `SHOP_DATABASE__POOL__MAX=5` with the prefix `SHOP` is `database.pool.max`: `__` nests, case and single
    underscores do not matter where the key exists already, and a value is read as JSON if possible, else as text.
    `env_prefix` adds one more such source, as the last.
    """

    __slots__ = ("_content", "_environ", "_folder", "_sources")

    def __init__(
        self,
        sources: Sequence[ConfigSource] = (),
        *,
        env_prefix: str | None = None,
        folder: Path = Path(),
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """Read all sources; ConfigError when one of them cannot be read."""
        self._sources = (*sources, *([ConfigSource("env", prefix=env_prefix)] if env_prefix else []))
        self._folder = folder
        self._environ = os.environ if environ is None else environ
        self._content = self._read()

    def __getitem__(self, key: str) -> Any:
        return self._content[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._content)

    def __len__(self) -> int:
        return len(self._content)

    def at(self, path: str, default: Any = MISSING) -> Any:
        """Return the value at a dotted path (`database.pool.max`), else `default`; KeyError without one."""
        value: Any = self._content
        keys = path.split(".")
        for depth, key in enumerate(keys):
            if not isinstance(value, Mapping) or key not in value:
                if default is not MISSING:
                    return default
                within = f"{'.'.join(keys[:depth])!r}" if depth else "the configuration"
                lacks = f"has no key {key!r}" if isinstance(value, Mapping) else "is not a mapping"
                raise KeyError(f"no configuration at {path!r}: {within} {lacks}")
            value = value[key]
        return value

    def reload(self) -> bool:
        """Read all sources again, and return whether anything changed; after a ConfigError the old content stays."""
        content = self._read()
        changed = not _same(self._content, content)
        self._content = content
        return changed

    def _read(self) -> Mapping[str, Any]:
        data: Data = {}
        for source in self._sources:
            if source.type == "file":
                data = merge(data, _from_file(source, self._folder))
            elif source.type == "env":
                data = merge(data, _from_environment(self._environ, source.prefix, data))
            else:
                raise ConfigError(f"a source of the type {source.type!r}", "the types are 'file' and 'env'")
        return MappingProxyType({key: _frozen(value) for key, value in data.items()})


# Values


def merge(base: Data, over: Data) -> Data:
    """Return `base` with `over` on top: mappings merge key by key, everything else replaces."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _nested(keys: Sequence[str], value: Any) -> Any:
    for key in reversed(keys):
        value = {key: value}
    return value


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return MappingProxyType({key: _frozen(item) for key, item in value.items()})
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _same(left: Any, right: Any) -> bool:
    # Not `==`, which calls 1, 1.0 and True equal, and NaN different from itself.
    if type(left) is not type(right):
        return False
    if isinstance(left, Mapping):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    if isinstance(left, tuple):
        return len(left) == len(right) and all(map(_same, left, right))
    return bool(left == right or (left != left and right != right))


# Environment variables


def _from_environment(environ: Mapping[str, str], prefix: str | None, base: Data) -> Data:
    """Return the values of the variables that begin with `prefix`, under the keys of `base` where it has them."""
    start = f"{prefix.rstrip('_')}_" if prefix else ""
    names = [name for name in environ if name.startswith(start)]
    named = [(keys, name) for name in names if (keys := _keys(name.removeprefix(start)))]
    data: Data = {}
    # Deeper keys last, so that A__B overrides A; then by name, so that the order of the environment does not matter.
    for keys, name in sorted(named, key=lambda each: (len(each[0]), each[1])):
        value = _variable(name, environ[name])
        nested = _nested(_own_keys(keys, base), value)
        if too_deep(nested):
            raise _deep_variable(name)
        data = merge(data, nested)
        if isinstance(value, dict):  # deeper variables use the spelling of its keys
            base = merge(base, nested)
    return data


def _keys(name: str) -> list[str]:
    return [key for part in name.split("__") if (key := part.strip("_").lower())]


def _own_keys(keys: Sequence[str], base: Any) -> list[str]:
    """Return `keys` as `base` spells them: `max_size` may be `maxSize` there."""
    own = []
    for key in keys:
        if isinstance(base, dict) and key not in base:
            key = next((own_key for own_key in base if _folded(own_key) == _folded(key)), key)
        base = base.get(key) if isinstance(base, dict) else None
        own.append(key)
    return own


def _folded(key: str) -> str:
    return key.replace("_", "").lower()


def _variable(name: str, text: str) -> Any:
    try:
        return json_value(text)
    except RecursionError:
        raise _deep_variable(name) from None
    except ValueError:
        return text


def _deep_variable(name: str) -> ConfigError:
    return ConfigError(f"the environment variable {name}", TOO_DEEP)


# Files


def _from_file(source: ConfigSource, folder: Path) -> Data:
    if not source.path:
        raise ConfigError("a source of the type 'file'", "it has no path")
    path = folder / source.path
    try:
        data = read(path)
    except (FileNotFoundError, NotADirectoryError):
        if source.optional:
            return {}
        raise ConfigError(path, "no such file", hint="create it, or mark the source as optional") from None
    if not isinstance(data, dict):
        kind = "a list" if isinstance(data, list) else "a single value"
        raise ConfigError(path, f"it holds {kind}, not a mapping of keys to values")
    data = _nested(source.prefix.split("."), data) if source.prefix else data
    if too_deep(data):
        raise ConfigError(path, TOO_DEEP)
    return data
