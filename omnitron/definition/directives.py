"""Raw directives of a unit: the `systemd` escape hatch."""

from __future__ import annotations

import re
from collections.abc import Iterator

from omnitron.definition.process import RawDirectives, RawUnit
from omnitron.definition.source import KeyPath

DIRECTIVE = re.compile(r"[A-Z][A-Za-z0-9]*|X-[A-Za-z0-9-]+")
ENVIRONMENT = ("Environment", "EnvironmentFile", "PassEnvironment", "UnsetEnvironment")
START_LIMITS = ("StartLimitIntervalSec", "StartLimitBurst", "StartLimitAction")


def check_raw_unit(raw: RawUnit) -> Iterator[tuple[KeyPath, str]]:
    """Yield the key path and message of each directive that would not stay one line of its section."""
    for section, directives in (("unit", raw.unit), ("service", raw.service)):
        for path, message in _check(directives):
            yield (section, *path), message
        for key in ENVIRONMENT if section == "service" else ():
            if key in directives:
                yield (section, key), "cannot be here: helpers that run as root would read it too; use env"
        for key in START_LIMITS if section == "service" else ():
            if key in directives:
                yield (section, key), "cannot be here: systemd reads it in the [Unit] section only"


def _check(directives: RawDirectives) -> Iterator[tuple[KeyPath, str]]:
    for key, value in directives.items():
        if not DIRECTIVE.fullmatch(key):
            yield (key,), f"{key!r} is not the name of a directive"
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, str) and (not item.isprintable() or item.endswith("\\")):
                yield (key,), "cannot be said in one line of a unit file"


def raw_lines(directives: RawDirectives) -> list[tuple[str, str]]:
    """Return the directives as pairs of name and text."""
    pairs = []
    for key, value in directives.items():
        for item in value if isinstance(value, list) else [value]:
            pairs.append((key, ("yes" if item else "no") if isinstance(item, bool) else str(item)))
    return pairs
