"""Cgroup hierarchies and controllers."""

from __future__ import annotations

from pathlib import Path

import pytest

from omnitron.observe.host_checks import cgroups
from omnitron.observe.host_checks.subject import Subject


@pytest.mark.parametrize(
    ("controllers", "state", "words"),
    [
        ("cpu io memory pids", "ok", "version 2 with cpu, memory, pids, io"),
        ("cpu pids", "warn", "memory (memoryMax, memoryHigh); io (ioWeight)"),
        ("", "warn", "pids (tasksMax)"),
    ],
)
def test_cgroup_version_2(tmp_path: Path, controllers: str, state: str, words: str) -> None:
    (tmp_path / "cgroup.controllers").write_text(controllers)
    (finding,) = cgroups.check(Subject(False), tmp_path)
    assert finding.state == state
    assert words in finding.message


def test_other_cgroup_hierarchies(tmp_path: Path) -> None:
    (finding,) = cgroups.check(Subject(False), tmp_path)
    assert finding.state == "warn" and "version 1" in finding.message
    (tmp_path / "unified").mkdir()
    (finding,) = cgroups.check(Subject(False), tmp_path)
    assert "hybrid" in finding.message
    assert finding.cure == "boot with systemd.unified_cgroup_hierarchy=1"
