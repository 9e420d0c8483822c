"""What a cgroup's files tell."""

from __future__ import annotations

from pathlib import Path

from omnitron.observe.cgroups import read_working_set


def test_the_working_set_is_without_what_can_be_taken_back(tmp_path: Path) -> None:
    (tmp_path / "memory.current").write_text("1000\n")
    (tmp_path / "memory.stat").write_text("anon 300\nfile 690\ninactive_file 600\nactive_file 90\n")
    assert read_working_set(str(tmp_path)) == 400
    (tmp_path / "memory.stat").write_text("")
    assert read_working_set(str(tmp_path)) == 1000


def test_without_a_controller_it_is_what_the_processes_hold(tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").write_text("1\n")
    assert (read_working_set(str(tmp_path)) or 0) > 0
    assert read_working_set(str(tmp_path / "gone")) is None
