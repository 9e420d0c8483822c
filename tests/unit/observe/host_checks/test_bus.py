"""A bus that does not answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from omnitron.observe.host_checks import bus
from omnitron.observe.host_checks.subject import Subject
from omnitron.systemd import local
from tests.unit.observe.host_checks.build import states


def test_an_unreachable_bus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(local, "is_booted", lambda: True)
    monkeypatch.setattr(local, "bus_path", lambda is_user: tmp_path / "bus")
    (finding,) = bus.check(Subject(True))
    assert finding.state == "fail"
    assert finding.cure and finding.cure.startswith("apt install dbus-user-session; ")


def test_without_systemd_there_is_no_bus_to_look_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "is_booted", lambda: False)
    assert states(bus.check(Subject(False))) == []
