"""Writes a definition as YAML, with its comments. PyYAML quotes the scalars; the layout is ours."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from omnitron.definition.source import MAX_BYTES
from omnitron.errors import OmnitronError
from omnitron.importers.document import Entry

PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*")
"""Text that needs no quotes, unless YAML reads it as another type."""
OTHER_READINGS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
LONGEST_SIMPLE_KEY = 128
"""The limit of PyYAML; YAML itself allows 1024 characters."""
INDENT = "  "


class DefinitionTooLargeError(OmnitronError):
    """An import that is larger than the largest definition that omnitron reads."""

    exit_code = 3

    def __init__(self) -> None:
        super().__init__(f"cannot import: the definition would be larger than {MAX_BYTES >> 20} MiB")


def document(definition: Entry) -> str:
    """Return the text of a definition file. Reading it gives back exactly `definition`."""
    parts: list[str] = []
    size = 0
    for line in _document(definition):
        size += len(line.encode()) + 1
        if size > MAX_BYTES:
            raise DefinitionTooLargeError
        parts.append(line)
    return "\n".join(parts) + "\n"


def _document(definition: Entry) -> Iterator[str]:
    for number, line in enumerate(mapping(definition, spaced=True)):
        if number or line:
            yield line


def mapping(data: Mapping[str, Any], depth: int = 0, *, spaced: bool = False) -> Iterator[str]:
    """Yield the lines of a mapping that is not empty; `spaced` puts an empty line in front of each key."""
    comments = data.comments if isinstance(data, Entry) else []
    for key, value in data.items():
        if spaced:
            yield ""
        for above, text in comments:
            if above == key:
                yield from comment(text, depth)
        yield from _pair(key, value, depth)
    for above, text in comments:
        if above is None or above not in data:
            yield from comment(text, depth)


def comment(text: str, depth: int = 0) -> Iterator[str]:
    """Yield the lines of a comment; control characters are escaped for terminals and YAML."""
    for line in text.split("\n"):
        yield f"{INDENT * depth}# {printable(line)}".rstrip()


def printable(text: str) -> str:
    """Return `text` in one line, with every unprintable character escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _pair(key: str, value: Any, depth: int) -> Iterator[str]:
    indent, name = INDENT * depth, scalar(key)
    if len(name) > LONGEST_SIMPLE_KEY:
        yield f"{indent}? {name}"
        indent, name = indent, ""
    if isinstance(value, Mapping) and (value or getattr(value, "comments", None)):
        yield f"{indent}{name}:" + ("" if value else " {}")
        yield from mapping(value, depth + 1)
    elif isinstance(value, list) and value and all(isinstance(item, Mapping) and item for item in value):
        yield f"{indent}{name}:"
        yield from _items(value, depth + 1)
    else:
        yield f"{indent}{name}: {flow(value)}"


def _items(values: list[Any], depth: int) -> Iterator[str]:
    """Yield the lines of a list of mappings; comments above the first key stand above the dash."""
    for number, value in enumerate(values):
        if number:
            yield ""
        dashed = False
        for line in mapping(value, depth + 1):
            if dashed:
                yield line
            elif line.lstrip().startswith("#"):
                yield line[len(INDENT) :]
            else:
                yield f"{INDENT * depth}- {line[len(INDENT) * (depth + 1) :]}"
                dashed = True


def flow(value: Any) -> str:
    """Return any value in one line."""
    return "".join(flow_parts(value))


def flow_parts(value: Any) -> Iterator[str]:
    """Yield the text of `flow` in parts, so that the caller can stop when it is long enough."""
    if isinstance(value, Mapping):
        yield "{"
        for number, (key, item) in enumerate(value.items()):
            yield f"{', ' if number else ''}{scalar(key)}: "
            yield from flow_parts(item)
        yield "}"
    elif isinstance(value, list | tuple):
        yield "["
        for number, item in enumerate(value):
            yield ", " if number else ""
            yield from flow_parts(item)
        yield "]"
    else:
        yield scalar(value)


def scalar(value: Any) -> str:
    """Return a scalar in one line, quoted so that YAML reads back the same value, inside a flow collection too."""
    if isinstance(value, str):
        if PLAIN.fullmatch(value) and value.lower() not in OTHER_READINGS:
            return value
        style = None if value.isprintable() else '"'
        text = yaml.safe_dump([value], default_flow_style=True, default_style=style, allow_unicode=True, width=math.inf)
        return text.strip()[1:-1]
    return yaml.safe_dump([value], default_flow_style=True, width=math.inf).strip()[1:-1]
