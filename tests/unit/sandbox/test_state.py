"""What is remembered of a machine between two commands."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from omnitron.sandbox.state import Options, Process, Record, RunDirectory, locked, machines

OPTIONS = Options("/", ("--bind=/a:/a",), private_network=True, unit="basic.target")


def own() -> Process:
    process = Process.read(os.getpid())
    assert process
    return process


def test_a_process_is_itself_for_as_long_as_it_runs() -> None:
    child = subprocess.Popen(["sleep", "100"])
    seen = Process.read(child.pid)
    assert seen and seen.alive() and seen.parent == os.getpid() and 0 <= seen.age() < 60
    assert not replace(seen, start=seen.start + 1).alive()
    child.kill()
    child.wait()
    assert not seen.alive()


def test_a_machine_is_read_as_it_was_written(tmp_path: Path) -> None:
    run = RunDirectory("m", tmp_path)
    assert run.running() is None
    run.create()
    record = Record(own(), 252, OPTIONS)
    run.write(record)
    assert run.running() == record
    assert machines(tmp_path) == ["m"]
    run.write(replace(record, leader=replace(record.leader, start=1)))
    assert run.running() is None
    run.remove()
    assert machines(tmp_path) == []


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"leader": 1, "options": {"binds": []}}'])
def test_a_record_of_another_version_is_no_machine(tmp_path: Path, text: str) -> None:
    run = RunDirectory("m", tmp_path)
    run.create()
    (run.path / "machine.json").write_text(text)
    assert run.running() is None


def test_the_lock_leaves_nothing_behind(tmp_path: Path) -> None:
    with locked(tmp_path / "run"):
        assert (tmp_path / "run").is_dir()
    assert list(tmp_path.iterdir()) == []
