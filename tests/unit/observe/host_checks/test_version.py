"""An old systemd, and none."""

from __future__ import annotations

from pathlib import Path

import pytest

from omnitron.observe.host_checks import version
from omnitron.observe.host_checks.subject import Subject
from omnitron.systemd import local


def test_old_and_missing_systemd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(local, "version", lambda: 247)
    (finding,) = version.check(Subject(False))
    assert (finding.state, finding.message) == ("fail", "version 247 is too old: 252 is the oldest")
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(tmp_path))
    local.version.cache_clear()
    (finding,) = version.check(Subject(False))
    assert (finding.state, finding.cure) == ("fail", "apt install systemd")
