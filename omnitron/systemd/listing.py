"""The states of many units in one short question, for commands that must answer at once.

`systemctl` is asked rather than the bus: starting it costs a few milliseconds, importing a D-Bus
library sixty.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass

from omnitron.systemd import host


@dataclass(frozen=True)
class Listed:
    """A unit in systemd's own words."""

    load: str
    active: str
    sub: str


def list_units(patterns: list[str], *, is_user: bool) -> dict[str, Listed]:
    """Return the loaded units that match the glob patterns, by name; raises SystemdUnreachableError."""
    command = [
        "systemctl",
        *(["--user"] if is_user else []),
        "list-units",
        "--all",
        "--output=json",
        "--no-pager",
    ]
    if not host.is_booted():
        raise host.unreachable(is_user, "it is not running")
    result = subprocess.run([*command, "--", *patterns], capture_output=True, text=True, timeout=30)
    if result.returncode:
        raise host.unreachable(is_user, (result.stderr.strip().splitlines() or ["systemctl failed"])[0])
    rows = json.loads(result.stdout or "[]")
    return {row["unit"]: Listed(row["load"], row["active"], row["sub"]) for row in rows}
