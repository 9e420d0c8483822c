"""The audit trail: a line in the journal for each act of an operator, with who did what to whose definition."""

from __future__ import annotations

import os
import syslog
from collections.abc import Iterable
from pathlib import Path

from omnitron.authority.accounts import name_of
from omnitron.errors import printable
from omnitron.policy.model import Selection, StackPolicy

LOGIN_UID = Path("/proc/self/loginuid")
NO_LOGIN = 0xFFFFFFFF
"""Stands in LOGIN_UID where nobody has logged in: at boot, in a container."""


def caller() -> str:
    """Return the name of who acts: who logged in, else the user of sudo, else the user of this process."""
    try:
        uid = int(LOGIN_UID.read_text())
    except (OSError, ValueError):
        uid = NO_LOGIN
    if uid != NO_LOGIN:
        return name_of(uid)
    return os.environ.get("SUDO_USER") or name_of(os.getuid())


def record(message: str) -> None:
    """Write `message`, what was done, to the journal with the name of who did it."""
    syslog.openlog("omnitron", facility=syslog.LOG_AUTH)
    # One line that acts on no terminal, whatever a name or SUDO_USER holds.
    syslog.syslog(syslog.LOG_NOTICE, printable(" ".join(f"{caller()} (uid {os.getuid()}): {message}".split())))


def record_act(verb: str, policy: StackPolicy, what: str | None = None) -> None:
    """Record what was done to a stack, or to `what` of it."""
    record(f"{verb} {what or policy.target}, {defined_by(policy.source)}")


def record_selection(verb: str, selections: Iterable[Selection]) -> None:
    """Record what was done to what an address means, a line for each stack."""
    by_stack: dict[str, tuple[StackPolicy, list[str]]] = {}
    for selection in selections:
        _, addresses = by_stack.setdefault(selection.stack.target, (selection.stack, []))
        addresses.append(str(selection.address))
    for policy, addresses in by_stack.values():
        record_act(verb, policy, ", ".join(addresses))


def defined_by(definition: Path) -> str:
    """Return whose word it rests on: `defined by /srv/shop/omnitron.config.yaml of alice`."""
    try:
        return f"defined by {definition} of {name_of(definition.stat().st_uid)}"
    except OSError:
        return f"defined by {definition}, which is away"
