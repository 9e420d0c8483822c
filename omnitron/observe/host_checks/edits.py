"""Installed files that somebody changed or removed."""

from __future__ import annotations

from collections.abc import Iterator

from omnitron.observe.host_checks.finding import Finding
from omnitron.observe.host_checks.subject import Subject


def check(subject: Subject) -> Iterator[Finding]:
    """Look for files that somebody changed or removed."""
    for unit in subject.units:
        if unit.state == "missing":
            yield Finding("edits", "fail", f"{unit.path} was removed", "omnitron generate writes it again")
        elif unit.state == "changed":
            cure = f"keep the change with `systemctl edit {unit.path.name}`; the next generate undoes it here"
            yield Finding("edits", "warn", f"{unit.path} was changed by hand", cure)
