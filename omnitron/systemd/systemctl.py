"""The states and properties of many units in one short question, for commands that must answer at once.

`systemctl` is asked rather than the bus: starting it costs a few milliseconds, importing a D-Bus
library sixty.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence

from omnitron.systemd import local
from omnitron.systemd.units import UnitState


def list_units(patterns: list[str], *, is_user: bool) -> dict[str, UnitState]:
    """Return the loaded units that match the glob patterns, by name; raises SystemdUnreachableError."""
    command = [
        "systemctl",
        *(["--user"] if is_user else []),
        "list-units",
        "--all",
        "--output=json",
        "--no-pager",
    ]
    if not local.is_booted():
        raise local.unreachable(is_user, "it is not running")
    result = subprocess.run([*command, "--", *patterns], capture_output=True, text=True, timeout=30)
    if result.returncode:
        raise local.unreachable(is_user, (result.stderr.strip().splitlines() or ["systemctl failed"])[0])
    rows = json.loads(result.stdout or "[]")
    return {row["unit"]: _state(row) for row in rows}


def _state(row: dict[str, str | None]) -> UnitState:
    """Return the state in a row of `systemctl list-units`, which has the column of jobs only where there are any."""
    return UnitState(str(row["unit"]), str(row["active"]), row.get("job") or "", str(row["load"]), str(row["sub"]))


def show(units: Sequence[str], properties: Sequence[str], *, is_user: bool) -> dict[str, dict[str, str]]:
    """Return properties of units, by name, as `systemctl show` prints them: some milliseconds for each unit."""
    if not units:
        return {}
    names = ",".join(("Id", *properties))
    user = ["--user"] if is_user else []
    command = ["systemctl", *user, "show", "--timestamp=unix", f"--property={names}", "--", *units]
    result = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=30)
    if result.returncode:
        raise local.unreachable(is_user, (result.stderr.strip().splitlines() or ["systemctl failed"])[0])
    texts = result.stdout.split("\n\n")
    # What a program says of itself may hold whatever else counts as the end of a line.
    blocks = [dict(line.split("=", 1) for line in text.split("\n") if "=" in line) for text in texts]
    return {block["Id"]: block for block in blocks if "Id" in block}
