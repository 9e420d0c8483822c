"""Which run of a unit is under way, by the links that systemd keeps for it: no question on the bus."""

from __future__ import annotations

import os
from pathlib import Path


def run_of(unit: str, *, is_user: bool) -> str:
    """Return the invocation id of the run of a unit; empty without one.

    After a crash it may be the one of an earlier run: systemd makes no new link when it restarts a unit itself.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "") if is_user else "/run"
    try:
        return str((Path(runtime) / "systemd/units" / f"invocation:{unit}").readlink())
    except OSError:
        return ""
