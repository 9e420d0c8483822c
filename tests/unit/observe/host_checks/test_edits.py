"""Installed files that were changed or removed."""

from __future__ import annotations

from pathlib import Path

from omnitron.observe.host_checks import edits
from omnitron.observe.host_checks.subject import InstalledUnit, Subject


def test_edits_by_hand() -> None:
    units = tuple(
        InstalledUnit(Path(f"/etc/systemd/system/{state}.service"), state)  # type: ignore[arg-type]
        for state in ("same", "changed", "missing")
    )
    changed, missing = edits.check(Subject(False, units=units))
    assert changed.message == "/etc/systemd/system/changed.service was changed by hand"
    assert changed.cure and "systemctl edit changed.service" in changed.cure
    assert (missing.state, missing.message) == ("fail", "/etc/systemd/system/missing.service was removed")
