"""The values of a unit's directives, typed by how they must be written; and units made of them.

A plain `str` is text of the planner's own making and is written as it is. Whatever comes from a
definition is wrapped in one of the types below, and `omnitron.render` escapes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True)
class Literal:
    """Text of a definition, written so that systemd reads it back unchanged."""

    text: str


@dataclass(frozen=True)
class Word:
    """Text of a definition that is one word of a list; a space in it does not split it."""

    text: str


@dataclass(frozen=True)
class Bind:
    """A path of a definition in a list that takes `source:destination`."""

    path: str
    optional: bool = False
    """True if the unit starts without it."""


@dataclass(frozen=True)
class Assignment:
    """One environment variable."""

    name: str
    value: str


@dataclass(frozen=True)
class Command:
    """A command line: words of a definition, and plain text of our own (`Own`) such as `%n`."""

    words: tuple[str | Own, ...]
    prefix: str = ""
    """systemd's marks: `-` ignores failure, `+` runs with full privileges."""


@dataclass(frozen=True)
class Own:
    """Text of the planner's own inside a command line, specifiers included."""

    text: str


Value: TypeAlias = "str | int | bool | Literal | Word | Bind | Assignment | Command | tuple[Value, ...] | None"
"""None leaves the directive out; a tuple repeats its line."""


@dataclass(frozen=True)
class Unit:
    """One unit: its file name, the template that gives it its shape, and the values in it."""

    name: str
    template: str
    values: Mapping[str, Value]
    app: str | None = None
    process: str | None = None
    raw: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    """Directives to append as they are, by section."""
