"""The runs of units as systemd knows them: which is under way, how many restarts there were, how the last one ended."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omnitron.systemd.systemctl import show

PROPERTIES = ("NRestarts", "Result", "ExecMainCode", "ExecMainStatus", "ExecMainExitTimestamp")
CODES = {"1": "exited", "2": "killed", "3": "dumped"}
"""`si_code` of wait(2), as systemd's $EXIT_CODE names it."""


@dataclass(frozen=True)
class Ending:
    """One service. `at` is in unix seconds, None while its process has not ended; the rest as in $SERVICE_RESULT."""

    restarts: int
    at: float | None
    result: str
    code: str
    status: str


def run_of(unit: str, *, is_user: bool) -> str:
    """Return the invocation id of the run of a unit; empty without one. systemd keeps a link: no question is needed.

    After a crash it may be the one of an earlier run: systemd makes no new link when it restarts a unit itself.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "") if is_user else "/run"
    try:
        return str((Path(runtime) / "systemd/units" / f"invocation:{unit}").readlink())
    except OSError:
        return ""


def read_endings(units: Sequence[str], *, is_user: bool) -> dict[str, Ending]:
    """Return how each of the loaded units has ended, by name; raises SystemdUnreachableError."""
    shown = show(units, PROPERTIES, is_user=is_user)
    return {unit: _ending(block) for unit, block in shown.items()}


def _ending(block: dict[str, str]) -> Ending:
    at = block.get("ExecMainExitTimestamp", "").removeprefix("@")
    code, status = CODES.get(block.get("ExecMainCode", ""), ""), block.get("ExecMainStatus", "")
    if code in ("killed", "dumped"):
        status = _signal(status)
    restarts = block.get("NRestarts", "")
    return Ending(
        int(restarts) if restarts.isdigit() else 0,
        float(at) if at.isdigit() else None,
        block.get("Result", ""),
        code,
        status,
    )


def _signal(number: str) -> str:
    try:
        return signal.Signals(int(number)).name.removeprefix("SIG")
    except ValueError:
        return number
