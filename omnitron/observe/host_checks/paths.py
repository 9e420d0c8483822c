"""Paths that installed units name and the host no longer has."""

from __future__ import annotations

from collections.abc import Iterator

from omnitron.observe.host_checks.finding import Finding
from omnitron.observe.host_checks.programs import exists, is_program, is_user
from omnitron.observe.host_checks.subject import Subject


def check(subject: Subject) -> Iterator[Finding]:
    """Look for what installed units name and the host no longer has."""
    needed: dict[str, list[str]] = {}
    for unit in subject.units:
        missing = [path for path in unit.paths if not exists(path)]
        missing += [f"the program {name}" for name in unit.programs if not is_program(name)]
        missing += [f"the user {unit.user}"] if unit.user and not is_user(unit.user) else []
        for what in missing:
            needed.setdefault(what, []).append(unit.path.name)
    for what, units in needed.items():
        more = f" and {len(units) - 1} more" if len(units) > 1 else ""
        cure = "put it back, or correct the definition, and omnitron generate"
        yield Finding("paths", "fail", f"{units[0]}{more} cannot run: {what} is not there", cure)
    if subject.units and not needed:
        yield Finding("paths", "ok", "all that installed units name is there")
