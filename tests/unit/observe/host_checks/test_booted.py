"""A host that systemd does not run."""

from __future__ import annotations

from pathlib import Path

import pytest

from omnitron.observe.host_checks import booted
from omnitron.observe.host_checks.subject import Subject
from omnitron.systemd import local
from tests.unit.observe.host_checks.build import states


def test_a_host_without_systemd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(local, "is_booted", lambda: False)
    assert next(booted.check(Subject(False))).cure == "omnitron sandbox up"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert states(booted.check(Subject(False))) == [("booted", "fail"), ("sandbox", "fail")]
