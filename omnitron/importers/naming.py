"""Makes names that a definition may use out of those of other tools."""

from __future__ import annotations

import re
from pathlib import Path

from omnitron import names


class Namer:
    """Gives out names; no two of them would have units of the same name."""

    def __init__(self, reserved: frozenset[str] = frozenset()) -> None:
        self._taken = {names.unit_part(name) for name in reserved}

    def name(self, wanted: str) -> str:
        """Return `wanted`, or the nearest name that is valid and free."""
        base = valid(wanted) or "app"
        found, number = base, 1
        while names.unit_part(found) in self._taken:
            number += 1
            end = f"-{number}"
            found = base[: names.MAX_LENGTH - len(end)].rstrip("-.") + end
        self._taken.add(names.unit_part(found))
        return found


def why_renamed(wanted: str, found: str) -> str:
    """Say that `wanted` is called `found` here, and why."""
    reason = names.why_not_a_name(wanted)
    if reason:
        why = f"the name {reason}"
    elif wanted in names.RESERVED_APPS:
        why = "the name is reserved for units of omnitron's own"
    else:
        why = "its units would have the names of another's"
    return f"is called {found!r} here: {why}"


def valid(text: str) -> str:
    """Return `text` with whatever a name may not hold taken out; empty when nothing is left."""
    cleaned = re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.")
    return cleaned[: names.MAX_LENGTH].strip("-.")


def project(said: str | None, folder: Path) -> str:
    """Return the project's name: the one that was given, else the folder's."""
    return valid(said or "") or valid(folder.name) or "project"
