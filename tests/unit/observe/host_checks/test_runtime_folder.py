"""XDG_RUNTIME_DIR of a user."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from omnitron.observe.host_checks import runtime_folder
from omnitron.observe.host_checks.subject import Subject
from tests.unit.observe.host_checks.build import states


def test_the_runtime_directory_of_a_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert states(runtime_folder.check(Subject(True))) == [("runtime-dir", "ok")]
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "gone"))
    assert states(runtime_folder.check(Subject(True))) == [("runtime-dir", "fail")]
    if os.geteuid() == 0:
        os.chown(tmp_path, 1, 1)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
        (finding,) = runtime_folder.check(Subject(True))
        assert "another user's" in finding.message
    assert states(runtime_folder.check(Subject(False))) == []
