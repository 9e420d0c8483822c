"""Reads a data file as other tools do: YAML by version 1.2, where `yes` and `22:22` are text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from omnitron.definition.source import Source, read_source, read_text
from omnitron.errors import DefinitionError, Problem

BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
NOT_YAML = (".json", ".toml")
LONGEST_NUMBER = 40
"""Longest number in characters; a longer one stays text, because no field accepts it."""
MAX_CHARACTERS = 16 << 20
"""Limit for all values together, with aliases expanded."""
TRUE_WORDS = frozenset({"true", "yes", "on", "y"})
"""More words than in the resolver: values with an explicit tag can be any of these."""


class CoreLoader(BASE):  # type: ignore[misc]
    """Resolves plain scalars by the core schema of YAML 1.2, and merge keys."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("merge", r"<<", "<"),
):
    CoreLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))


def read_data(path: Path) -> Source:
    """Read a file like `read_source`, with the scalars of a YAML file resolved by YAML 1.2."""
    source = read_source(path)
    if path.suffix in NOT_YAML:
        return source
    # read_source has already checked the syntax, loops and limits.
    node = yaml.compose(read_text(path).text, Loader=CoreLoader)
    return Source(path, None if node is None else _Values(path).value(node), source.locate)


class _Values:
    """Turns composed nodes into values, up to MAX_CHARACTERS."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.left = MAX_CHARACTERS

    def value(self, node: Any) -> Any:
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item) for item in node.value]
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node)
        self.left -= len(node.value)
        if self.left < 0:
            message = f"cannot import: its values come to more than {MAX_CHARACTERS >> 20} MiB"
            raise DefinitionError([Problem(str(self.path), 0, "", message)])
        return _scalar(node.tag.rpartition(":")[2], node.value)

    def mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                for base in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    # Of several, the first one wins.
                    merged = {**self.mapping(base), **merged}
            else:
                own[str(key.value)] = self.value(value)
        return {**merged, **own}


def _scalar(tag: str, text: str) -> Any:
    if tag == "null":
        return None
    if tag == "bool":
        return text.lower() in TRUE_WORDS
    try:
        if tag == "int" and len(text) <= LONGEST_NUMBER:
            return int(text, 0 if text[:2].lower() in ("0x", "0o") else 10)
        if tag == "float" and len(text) <= LONGEST_NUMBER:
            return float(text)
    except ValueError:
        # An explicit tag on a text that is a number in YAML 1.1 only.
        return text
    return text
