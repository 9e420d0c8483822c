"""Makes valid names for a definition from those of other tools."""

from __future__ import annotations

import re
from pathlib import Path

from omnitron import names


class Namer:
    """Makes unique names: no two of them would have units of the same name."""

    def __init__(self, reserved: frozenset[str] = frozenset()) -> None:
        self._used = {names.unit_part(name) for name in reserved}

    def name(self, original: str) -> str:
        """Return `original`, or the nearest name that is valid and free."""
        base = valid(original) or "app"
        candidate, number = base, 1
        while names.unit_part(candidate) in self._used:
            number += 1
            end = f"-{number}"
            candidate = base[: names.MAX_LENGTH - len(end)].rstrip("-.") + end
        self._used.add(names.unit_part(candidate))
        return candidate


def why_renamed(original: str, name: str) -> str:
    """Return the message for a name that was changed to `name`, with the reason."""
    reason = names.why_not_a_name(original)
    if reason:
        why = f"the name {reason}"
    elif original in names.RESERVED_APPS:
        why = "the name is reserved for units of omnitron's own"
    else:
        why = "its units would have the same names as those of another one"
    return f"is called {name!r} here: {why}"


def valid(text: str) -> str:
    """Return `text` without the characters that a name cannot have; may be empty."""
    cleaned = re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.")
    return cleaned[: names.MAX_LENGTH].strip("-.")


def project(requested: str | None, folder: Path) -> str:
    """Return the project's name: the requested one, else the folder's."""
    return valid(requested or "") or valid(folder.name) or "project"
