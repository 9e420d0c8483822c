"""Reads a data file into plain values, and finds the line of any key in it.

Positions are looked for only when a problem has to be reported, so a valid file is parsed once, fast.
A key path is a tuple of mapping keys and list indexes.
"""

from __future__ import annotations

import json
import os
import re
import stat
import tomllib
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from omnitron.errors import DefinitionError, NotPermittedError, Problem

MAX_BYTES = 4 << 20
MAX_VALUES = 200_000
"""Values after YAML aliases are expanded; a few lines of nested aliases can stand for billions."""
MAX_DEPTH = 100
"""Collections inside each other; libyaml's composer has no limit but the stack."""

KeyPath = tuple[str | int, ...]
Locator = Callable[[KeyPath], int]


@dataclass(frozen=True)
class Source:
    """A definition file that was read: its values, and `line(path)`, 1-based, 0 when unknown."""

    path: Path
    data: Any
    locate: Locator = field(compare=False)
    owner: int = field(default=-1, compare=False)
    """Uid of whose file it was when it was read: what has its name by now may be another. -1 when unknown."""

    def line(self, path: KeyPath) -> int:
        """Return the line of the deepest part of `path` that the file holds."""
        return self.locate(spelled(path, self.data))

    def problem(self, path: KeyPath, message: str, hint: str | None = None) -> Problem:
        """Say that `message` is true of the value at `path`."""
        return Problem(str(self.path), self.line(path), dotted(spelled(path, self.data), self.data), message, hint)


def dotted(path: KeyPath, data: Any) -> str:
    """Return `path` as text, with the name of a list item, where it has one, in place of its index."""
    parts = []
    for key in path:
        item = value_at(data, (key,))
        named = isinstance(key, int) and isinstance(item, dict) and isinstance(item.get("name"), str)
        parts.append(str(item["name"] if named else key))
        data = item
    return ".".join(parts)


def value_at(data: Any, path: KeyPath) -> Any:
    """Return the value at `path`, None where there is none."""
    for key in path:
        if isinstance(data, dict):
            data = data.get(key)
        elif isinstance(data, list) and isinstance(key, int) and key < len(data):
            data = data[key]
        else:
            return None
    return data


def spelled(path: KeyPath, data: Any) -> KeyPath:
    """Return `path` with its keys as the file has them: what is `dependsOn` here may be `depends_on` there."""
    keys: list[str | int] = []
    for key in path:
        keys.append(own_key(data, key))
        data = value_at(data, (keys[-1],))
    return tuple(keys)


def own_key(data: Any, key: Any) -> Any:
    """Return the key of `data` that stands for `key`: the same, else one in the other style, else `key` itself."""
    if not isinstance(data, dict) or key in data:
        return key
    return next((own for own in data if same_key(own, key)), key)


def same_key(left: object, right: object) -> bool:
    """Return whether two keys are one in camelCase and snake_case."""
    return _folded(left) == _folded(right)


def _folded(key: object) -> str:
    return str(key).replace("_", "").lower()


class Text(NamedTuple):
    """The text of a file, and the uid of its owner."""

    text: str
    owner: int


def read_text(path: Path) -> Text:
    """Return the text of a definition file, or raise an error that says what it is instead."""
    try:
        _check_regular(path, path.stat())
        # What has its name by now may be something else: a FIFO must not stop the reader.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            _check_regular(path, status)
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise DefinitionError([Problem(str(path), 0, "", f"cannot read: larger than {MAX_BYTES >> 20} MiB")])
    except PermissionError as error:
        raise NotPermittedError(f"cannot read {path}: permission denied") from error
    except OSError as error:
        raise DefinitionError([Problem(str(path), 0, "", f"cannot read: {_reason(error)}")]) from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DefinitionError([Problem(str(path), line, "", "cannot read: not UTF-8 text")]) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DefinitionError([Problem(str(path), line, "", "cannot read: a binary file, not text")])
    return Text(text, status.st_uid)


def _check_regular(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise DefinitionError([Problem(str(path), 0, "", f"cannot read: it is {kind}")])


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def read_source(path: Path) -> Source:
    """Parse a `.yaml`, `.yml`, `.toml` or `.json` file; raise DefinitionError when it is not well formed."""
    text, owner = read_text(path)
    reader = {".json": _read_json, ".toml": _read_toml}.get(path.suffix, _read_yaml)
    try:
        return replace(reader(path, text), owner=owner)
    except RecursionError as error:
        raise _syntax_error(path, 0, "nested too deeply") from error
    except ValueError as error:  # a number with thousands of digits
        raise _syntax_error(path, 0, str(error).partition(":")[0].lower()) from error


def _in_index(make: Callable[[], dict[KeyPath, int]]) -> Locator:
    """Return a locator that makes the lines of all paths when it is first asked."""
    index = cache(make)

    def locate(path: KeyPath) -> int:
        lines = index()
        return next(lines[path[:length]] for length in range(len(path), -1, -1) if path[:length] in lines)

    return locate


# YAML


def _read_yaml(path: Path, text: str) -> Source:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _check_depth(yaml.parse(text, Loader=loader))
        node = yaml.compose(text, Loader=loader)
        data = None if node is None else _YamlValues(loader("")).value(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = error.problem or error.context or "not YAML"
        if mark and "cannot start any token" in reason and "\t" in text.split("\n")[mark.line]:
            reason = "a tab; YAML is indented with spaces"
        if "nesting depth" in reason:  # PyYAML's own limit, from 6.0.4 on
            reason = "nested too deeply"
        raise _syntax_error(path, mark.line + 1 if mark else 0, reason) from error
    except yaml.YAMLError as error:
        raise _syntax_error(path, 0, str(error).splitlines()[0]) from error
    return Source(path, data, lambda keys: _locate_yaml(node, keys))


def _check_depth(events: Iterable[Any]) -> None:
    depth = 0
    for event in events:
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=event.start_mark)


def _syntax_error(path: Path, line: int, reason: str) -> DefinitionError:
    return DefinitionError([Problem(str(path), line, "", f"cannot parse: {reason}")])


WHOLE_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)")


class _YamlValues:
    """Turns composed nodes into values; refuses loops, key collisions and runaway aliases."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader
        self.count = 0

    def value(self, node: Any, above: tuple[int, ...]) -> Any:
        self.count += 1
        if id(node) in above:
            raise yaml.MarkedYAMLError(problem="an alias that contains itself", problem_mark=node.start_mark)
        if self.count > MAX_VALUES:
            raise yaml.MarkedYAMLError(problem=f"more than {MAX_VALUES} values", problem_mark=node.start_mark)
        if isinstance(node, yaml.MappingNode):
            return dict(self.pairs(node, (*above, id(node))))
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*above, id(node))) for item in node.value]
        if node.tag == "tag:yaml.org,2002:int" and not WHOLE_NUMBER.fullmatch(node.value):
            # 0644 and 12:30:45 are numbers to YAML 1.1, of a value that nobody means.
            return node.value
        try:
            return self.loader.construct_object(node)
        except ValueError as error:  # a date with a 13th month
            raise yaml.MarkedYAMLError(problem=str(error).partition(":")[0], problem_mark=node.start_mark) from error

    def pairs(self, node: Any, above: tuple[int, ...]) -> Iterator[tuple[Hashable, Any]]:
        seen: set[Hashable] = set()
        merged: list[Any] = []
        own: list[tuple[Hashable, Any]] = []
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                merged += value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                continue
            key = self.key(key_node)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key!r} is there twice", problem_mark=key_node.start_mark)
            seen.add(key)
            own.append((key, self.value(value_node, above)))
        for base in reversed(merged):  # of several, the first one wins
            inherited = self.value(base, above)
            if not isinstance(inherited, dict):
                raise yaml.MarkedYAMLError(problem="'<<' needs a mapping", problem_mark=base.start_mark)
            yield from ((key, value) for key, value in inherited.items() if key not in seen)
        yield from own

    def key(self, node: Any) -> Hashable:
        if not isinstance(node, yaml.ScalarNode):
            raise yaml.MarkedYAMLError(problem="a key must be plain text", problem_mark=node.start_mark)
        return str(node.value)


def _locate_yaml(node: Any, path: KeyPath) -> int:
    line = node.start_mark.line + 1 if node is not None else 0
    for key in path:
        if isinstance(node, yaml.MappingNode):
            entry = next(((k, v) for k, v in node.value if k.value == key), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            entry = (node.value[key], node.value[key])
        else:
            entry = None
        if entry is None:
            break
        line, node = entry[0].start_mark.line + 1, entry[1]
    return line


# JSON


def _read_json(path: Path, text: str) -> Source:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) < len(pairs):
            raise _syntax_error(path, *_repeated_key(text))
        return values

    try:
        data = json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise _syntax_error(path, error.lineno, error.msg[0].lower() + error.msg[1:]) from error
    return Source(path, data, _in_index(lambda: _json_lines(text)))


JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+')


def _repeated_key(text: str) -> tuple[int, str]:
    """Return the line of the first key that its object already has, and what to say of it."""
    objects: list[set[str]] = []
    for token, following in pairwise(JSON_TOKEN.finditer(text)):
        word = token.group()
        if word in "{[":
            objects.append(set())
        elif word in "}]":
            objects.pop()
        elif following.group() == ":":
            key = json.loads(word)
            if key in objects[-1]:
                return text.count("\n", 0, token.start()) + 1, f"the key {key!r} is there twice"
            objects[-1].add(key)
    return 0, "a key is there twice"


def _json_lines(text: str) -> dict[KeyPath, int]:
    """Walk the tokens with a stack of the keys that lead to each."""
    lines: dict[KeyPath, int] = {(): 1}
    keys: list[str | int] = []
    line, end = 1, 0
    for token, following in pairwise([*JSON_TOKEN.finditer(text), None]):
        if token is None:
            break
        word = token.group()
        line, end = line + text.count("\n", end, token.start()), token.start()
        if word in "}]":
            keys.pop()
        elif word == ",":
            keys[-1] = keys[-1] + 1 if isinstance(keys[-1], int) else ""
        elif following and following.group() == ":":
            keys[-1] = json.loads(word)
            lines[tuple(keys)] = line
        elif word != ":":
            lines.setdefault(tuple(keys), line)
            if word in "{[":
                keys.append("" if word == "{" else 0)
    return lines


# TOML


def _read_toml(path: Path, text: str) -> Source:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        where = re.search(r"\(at line (\d+),.*\)$", str(error))
        reason = re.sub(r" \(at .*\)$", "", str(error))
        line = int(where[1]) if where else text.count("\n") + 1
        raise _syntax_error(path, line, reason[0].lower() + reason[1:]) from error
    return Source(path, data, _in_index(lambda: _toml_lines(text)))


TOML_KEY = re.compile(
    r"""\s*((?:"(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)(?:\s*\.\s*(?:"(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+))*)\s*="""
)
TOML_HEADER = re.compile(r"\s*(\[{1,2})\s*([^\]]+?)\s*\]{1,2}\s*(?:#.*)?$")


TOML_TEXT = re.compile(
    r"""#[^\n]*|\"{3}(?:\\.|.)*?\"{3}|'{3}.*?'{3}|"(?:\\.|[^"\\\n])*"|'[^'\n]*'""",
    re.DOTALL,
)
"""A comment or a string: what may hold what looks like a key, and the end of another."""


def _only_newlines(entry: re.Match[str]) -> str:
    """Take away text of several lines, and keep its place."""
    return "\n" * entry.group().count("\n") or entry.group()


def _toml_keys(text: str) -> list[str]:
    return [part.strip("\"'") for part in re.findall(r"\"(?:[^\"\\]|\\.)*\"|'[^']*'|[A-Za-z0-9_-]+", text)]


def _toml_lines(text: str) -> dict[KeyPath, int]:
    """Match table headers and `key =` lines; an inline table or array counts as one line."""
    lines: dict[KeyPath, int] = {(): 1}
    table: list[str | int] = []
    counts: dict[tuple[str | int, ...], int] = {}
    for number, line in enumerate(TOML_TEXT.sub(_only_newlines, text).split("\n"), 1):
        if header := TOML_HEADER.match(line):
            table = _toml_table(_toml_keys(header[2]), header[1] == "[[", counts)
            path = table
        elif key := TOML_KEY.match(line):
            path = [*table, *_toml_keys(key[1])]
        else:
            continue
        for length in range(1, len(path) + 1):
            lines.setdefault(tuple(path[:length]), number)
    return lines


def _toml_table(keys: list[str], is_item: bool, counts: dict[tuple[str | int, ...], int]) -> list[str | int]:
    """Return the key path of a header, with the index of the current item of each array on the way."""
    path: list[str | int] = []
    for position, key in enumerate(keys):
        path.append(key)
        last = position == len(keys) - 1
        if last and is_item:
            counts[tuple(path)] = counts.get(tuple(path), -1) + 1
        if tuple(path) in counts:
            path.append(counts[tuple(path)])
    return path
