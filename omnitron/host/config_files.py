"""Configuration files: JSON, TOML and YAML, with a limit for everything that a file can make a parser do.

Values may be secrets: no message holds one, only keys, names, files and lines.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from omnitron.errors import OmnitronError, printable

MAX_BYTES = 10 << 20
MAX_DEPTH = 100
"""Collections inside each other, counted over everything that one source says."""
TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep"
MAX_YAML_NODES = 200_000
"""Nodes after aliases are expanded: a few lines of nested aliases can stand for billions."""
MAX_NUMBER = 4300
"""Characters of a YAML number: one in base 60 (`1:30:00`) takes quadratic time, and no other limit stops it."""

Data = dict[str, Any]


class ConfigError(OmnitronError):
    """Configuration that cannot be read; `place` is a file, `file:line` or an environment variable."""

    def __init__(self, place: object, why: str, *, hint: str | None = None) -> None:
        brief = f"cannot read {place}: {why}"
        # Keys and names come from the user: control characters must not reach the terminal.
        super().__init__(
            printable(brief),
            hint=hint,
        )


class _SyntaxError(Exception):
    """A mistake in the text of a file, with its line; 0 when the line is not known."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(why)
        self.line = line
        self.why = why


def read(path: Path) -> Any:
    """Return the data of the file at `path`; ConfigError when it cannot be read, FileNotFoundError without a file."""
    parse = _PARSERS.get(path.suffix.lower())
    if parse is None:
        raise ConfigError(path, f"its name ends in none of {', '.join(_PARSERS)}")
    return _parsed(path, parse, _bytes(path))


def too_deep(value: Any) -> bool:
    """Return whether `value` is nested more than MAX_DEPTH levels deep; without recursion, which would overflow."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        collections = [item for item in level if isinstance(item, dict | list)]
        level = [item for each in collections for item in (each.values() if isinstance(each, dict) else each)]
        if not collections:
            return False
    return True


def _parsed(path: Path, parse: Callable[[str], Any], raw: bytes) -> Any:
    # `from None`: the errors of parsers quote the text, which may be a secret.
    try:
        return parse(_text(raw))
    except _SyntaxError as error:
        raise ConfigError(f"{path}:{error.line}" if error.line else path, error.why) from None
    except RecursionError:
        raise ConfigError(path, TOO_DEEP) from None
    except ValueError:
        raise ConfigError(path, "a number that is not finite, or has too many digits") from None


def _bytes(path: Path) -> bytes:
    try:
        # O_NONBLOCK: opening a FIFO must not wait for a writer.
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            return _content(path, file)
        finally:
            os.close(file)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except PermissionError:
        hint = "let the user that the service runs as read it"
        raise ConfigError(path, "permission denied", hint=hint) from None
    except OSError as error:
        raise ConfigError(path, (error.strerror or str(error)).lower()) from None
    except ValueError:  # from os.open
        raise ConfigError(path, "its path holds a NUL character") from None


def _content(path: Path, file: int) -> bytes:
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode):
        kind = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise ConfigError(path, f"it is {kind}")
    raw = b""
    if status.st_size <= MAX_BYTES:  # st_size is 0 for every file in /proc
        with open(file, "rb", closefd=False) as stream:
            raw = stream.read(MAX_BYTES + 1) or b""
    if max(status.st_size, len(raw)) > MAX_BYTES:
        raise ConfigError(path, f"larger than {MAX_BYTES >> 20} MiB")
    return raw


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _SyntaxError(raw.count(b"\n", 0, error.start) + 1, "not UTF-8 text") from None


def json_value(text: str, pairs: Callable[[list[tuple[str, Any]]], Data] | None = None) -> Any:
    """Parse JSON; ValueError also for NaN, infinity and numbers that would become infinity."""
    import json  # 1 ms

    return json.loads(text, object_pairs_hook=pairs, parse_constant=_finite, parse_float=_finite)


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0:
        raise ValueError("not finite")
    return number


def _parse_json(text: str) -> Any:
    from json import JSONDecodeError

    try:
        return json_value(text, _unique)
    except JSONDecodeError as error:
        why = error.msg.removesuffix(" at")
        raise _SyntaxError(error.lineno, why[0].lower() + why[1:]) from None


def _unique(pairs: list[tuple[str, Any]]) -> Data:
    data: Data = {}
    for key, value in pairs:
        if key in data:
            raise _SyntaxError(0, f"the key {key!r} is there twice")
        data[key] = value
    return data


_TOML_DEEP_KEY = rf"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){{{MAX_DEPTH}}}"""
"""A dotted key with too many parts; tomllib takes quadratic time for it."""


def _parse_toml(text: str) -> Any:
    import tomllib  # 1 ms

    if deep := re.search(_TOML_DEEP_KEY, text):
        raise _SyntaxError(text.count("\n", 0, deep.start()) + 1, TOO_DEEP)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        why, _, place = str(error).partition(" (at ")
        line = re.match(r"line (\d+)", place)
        raise _SyntaxError(int(line[1]) if line else text.count("\n") + 1, why[0].lower() + why[1:]) from None


# YAML


def _parse_yaml(text: str) -> Any:
    import yaml  # 7 ms, and most processes have no such file

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        # First the events alone: libyaml makes nodes recursively, and each takes half a kilobyte.
        _check_events(yaml.parse(text, Loader=loader))
        node = yaml.compose(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _SyntaxError(mark.line + 1 if mark else 0, _yaml_problem(error.problem or "not YAML")) from None
    except yaml.YAMLError:
        raise _SyntaxError(0, "a control character, which YAML does not allow") from None
    return {} if node is None else _YamlValues(loader).value(node, ())


def _check_events(events: Iterator[Any]) -> None:
    import yaml

    depth = 0
    for count, event in enumerate(events):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise _SyntaxError(event.start_mark.line + 1, TOO_DEEP)
        if count > MAX_YAML_NODES:
            raise _SyntaxError(0, f"more than {MAX_YAML_NODES} values")


_YAML_PROBLEMS = {
    "cannot start any token": "a tab, or text that needs quotes because of its first character",
    "undefined alias": "an alias without an anchor; text that begins with '*' needs quotes",
    "found another document": "more than one document",
    "nesting depth": TOO_DEEP,
}


def _yaml_problem(problem: str) -> str:
    for theirs, ours in _YAML_PROBLEMS.items():
        if theirs in problem:
            return ours
    # Quoted text may be part of a value, such as a password that begins with '!'. One character is punctuation.
    return re.sub(r" ?'([^']*)'", lambda quoted: quoted[0] if len(quoted[1]) < 2 else "", problem)


class _YamlValues:
    """Turns composed nodes into values; refuses loops, duplicate keys and aliases that expand without bound."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader("")
        self.count = 0

    def value(self, node: Any, above: tuple[int, ...]) -> Any:
        """Return the value of a node inside the nodes with the ids `above`."""
        self.count += 1
        if id(node) in above:
            raise self.problem(node, "an alias that contains itself")
        if len(above) > MAX_DEPTH:
            raise self.problem(node, TOO_DEEP)
        if self.count > MAX_YAML_NODES:
            raise self.problem(node, f"more than {MAX_YAML_NODES} values, aliases included")
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        if node.id == "mapping" and kind == "map":
            return self.mapping(node, (*above, id(node)))
        if node.id == "sequence" and kind == "seq":
            return [self.value(item, (*above, id(node))) for item in node.value]
        if node.id == "scalar" and kind in ("str", "value", "merge"):
            return node.value
        if node.id == "scalar" and kind in ("null", "bool", "int", "float", "timestamp", "binary"):
            return self.scalar(node, kind)
        raise self.problem(node, "an unknown tag; text that begins with '!' needs quotes")

    def scalar(self, node: Any, kind: str) -> Any:
        """Return PyYAML's value of a scalar that is not text."""
        if kind in ("int", "float") and len(node.value) > MAX_NUMBER:
            raise self.problem(node, "a number with too many digits")
        try:
            return self.loader.yaml_constructors[node.tag](self.loader, node)
        except Exception:  # any kind of error, and its message quotes the value
            raise self.problem(node, f"not a valid {kind}") from None

    def mapping(self, node: Any, above: tuple[int, ...]) -> Data:
        """Return a mapping; its own keys override those that it merges with '<<'."""
        own: Data = {}
        merged: list[Any] = []
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                merged += value.value if value.id == "sequence" else [value]
            elif key.id != "scalar":
                raise self.problem(key, "a key must be plain text")
            elif key.value in own:
                raise self.problem(key, f"the key {key.value!r} is there twice")
            else:
                own[key.value] = self.value(value, above)
        inherited: Data = {}
        for base in reversed(merged):  # of several, the first one wins
            values = self.value(base, above)
            if not isinstance(values, dict):
                raise self.problem(base, "'<<' needs a mapping")
            inherited |= values
        return inherited | own

    def problem(self, node: Any, why: str) -> _SyntaxError:
        """Return the error for the line of a node."""
        return _SyntaxError(node.start_mark.line + 1, why)


_PARSERS: dict[str, Callable[[str], Any]] = {
    ".json": _parse_json,
    ".toml": _parse_toml,
    ".yaml": _parse_yaml,
    ".yml": _parse_yaml,
}
