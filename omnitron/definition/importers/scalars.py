"""Reads a YAML file as YAML 1.2 does, as the tools that are imported from do: `yes` and `22:22` are text."""

from __future__ import annotations

import re
from typing import Any

import yaml

from omnitron.definition.source import Source, read_source, read_text

BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
LONGEST_NUMBER = 40
"""Longer digits stay text: no field takes such a number."""
TRUE_WORDS = frozenset({"true", "yes", "on", "y"})
"""More than the resolver takes: what carries a tag of its own gets here too."""


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


def read_data(path: Any) -> Source:
    """Read a file like `read_source`, with the scalars of a YAML file resolved by YAML 1.2."""
    source = read_source(path)
    if path.suffix in (".json", ".toml"):
        return source
    # That it is well formed, holds no loops and stays within bounds is known by now.
    node = yaml.compose(read_text(path), Loader=CoreLoader)
    return Source(path, None if node is None else _value(node), source.locate)


def _value(node: Any) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return [_value(item) for item in node.value]
    if isinstance(node, yaml.MappingNode):
        return _mapping(node)
    return _scalar(node.tag.rpartition(":")[2], node.value)


def _mapping(node: yaml.MappingNode) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    own: dict[str, Any] = {}
    for key, value in node.value:
        if key.tag == "tag:yaml.org,2002:merge":
            bases = value.value if isinstance(value, yaml.SequenceNode) else [value]
            for base in bases:
                merged = {**_mapping(base), **merged}
        else:
            own[str(key.value)] = _value(value)
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
        # Explicitly tagged, and a number by YAML 1.1 only.
        return text
    return text
