"""The account of a process: it must be chosen, and be there."""

from __future__ import annotations

from omnitron.planner.facts import HostFacts
from omnitron.planner.resolve.process import PlannedProcess
from omnitron.planner.units.service import DYNAMIC_USER

Wrong = tuple[tuple[str, ...], str]
"""The key of the app that is wrong, and the message."""


def problem(process: PlannedProcess, facts: HostFacts) -> Wrong | None:
    """Return what is wrong with the account of a process of the system's manager."""
    if process.user is None:
        return (), (
            f"cannot choose the user of {process.stack}/{process.app}:{process.name}: the definition belongs to root; "
            "say which, such as user: www-data (or user: root)"
        )
    is_name = process.user != DYNAMIC_USER and not process.user.isdecimal()
    exists = not is_name or facts.accounts is None or process.user in facts.accounts
    return None if exists else (("user",), f"cannot run as {process.user!r}: this host has no such user")
