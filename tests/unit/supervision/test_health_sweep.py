"""Rounds of health probes, without a systemd: who is asked, and what is made of the answers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omnitron.planner.units import health_sweep as sweep_units
from omnitron.supervision.helpers import health_sweep
from omnitron.supervision.helpers.health_sweep import Target, ask, targets_of
from omnitron.supervision.state import health_results
from omnitron.supervision.state.health_results import Result

HELPERS = Path(health_sweep.__file__).parent


def process(unit: str, interval: int | None = 1000) -> dict[str, Any]:
    check = {"kind": "tcp", "argv": ["h:1"], "timeout": 500, "interval": interval, "retries": 3}
    return {"unit": unit, "health": check if interval else None}


def test_who_is_asked() -> None:
    """What runs and has this interval, each instance of a pool."""
    processes = [process("a.service"), process("b.service", 2000), process("c.service", None), process("p@.service")]
    policy = {"apps": [{"processes": processes[:2]}, {"processes": [*processes[2:], process("down.service")]}]}
    running = ["a.service", "b.service", "c.service", "p@1.service", "p@2.service", "pp@1.service", "x.service"]
    found = [target.unit for target in targets_of(policy, 1000, running)]
    assert found == ["a.service", "p@1.service", "p@2.service"]
    assert next(iter(targets_of(policy, 1000, running))) == Target("a.service", "tcp", ("h:1",), 0.5, 3)


@pytest.mark.parametrize(("age_s", "counts"), [(-1, False), (1, False), (29, False), (31, True)])
def test_a_failure_counts_once_the_process_has_had_its_time_to_start(age_s: int, counts: bool) -> None:
    processes = [process("a.service")]
    processes[0]["health"]["startPeriod"] = 30_000
    (target,) = targets_of({"apps": [{"processes": processes}]}, 1000, ["a.service"])
    now = 10**9

    class Told:
        def get(self, name: str) -> str:
            return {"ExecMainStartTimestampMonotonic": str(now - age_s * 10**6)}[name]

    assert health_sweep._counts(target, Told(), now) == counts  # type: ignore[arg-type] # as manager.Properties


def test_failures_in_a_row_are_those_of_one_run() -> None:
    first = health_results.judged(None, "no answer", "i1", 1.0)
    second = health_results.judged(first, "no answer", "i1", 2.0)
    assert (first, second) == (Result(1, "no answer", 1.0, "i1"), Result(2, "no answer", 2.0, "i1"))
    assert health_results.judged(second, "no answer", "i2", 3.0).failures == 1
    assert health_results.judged(second, None, "", 3.0) == Result(0, "", 3.0, "")
    assert len(health_results.judged(None, "x" * 10_000, "i", 1.0).message) == health_results.MESSAGE_LIMIT


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', '{"a": {"failures": "x"}}', "[" * 99999])
def test_damaged_results_are_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(text)
    assert health_results.read(str(path)) == {}


def test_results_are_read_back(tmp_path: Path) -> None:
    results = {"a.service": Result(2, "status 500", 1.5, "i"), "b.service": Result(0, "", 2.5, "")}
    health_results.write(f"{tmp_path}/deep/results.json", results)
    assert health_results.read(f"{tmp_path}/deep/results.json") == results


def test_many_are_asked_side_by_side_and_none_stops_the_others() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        good = Target("good", "tcp", (f"127.0.0.1:{server.getsockname()[1]}",), 1.0, 1)
        wrong = Target("wrong", "nonsense", (), 1.0, 1)
        many = [Target(f"u{number}", *good[1:]) for number in range(50)]
        answers = ask([wrong, *many], user=True)
    assert {answers[target.unit] for target in many} == {None}
    assert answers["wrong"]


def test_what_cannot_be_asked_is_as_it_was(systemctl: Callable[[str], Path], tmp_path: Path) -> None:
    """systemd that starts anew answers nothing: that is no failure of the process."""
    calls = systemctl("exit 1")
    unknown, asked = Target("unknown", "command", ("true",), 1.0, 1), Target("asked", "tcp", ("nonsense",), 1.0, 1)
    assert ask([unknown, asked], user=True).keys() == {"asked"}
    results = f"{tmp_path}/deep/results.json"
    earlier = {"unknown": Result(2, "status 500", 1.5, "i"), "gone": Result(1, "x", 1.5, "i")}
    health_results.write(results, earlier)
    health_sweep._sweep([unknown, asked], results, user=True)
    assert health_results.read(results) == {"unknown": earlier["unknown"]}
    assert "show --property=MainPID --property=UID --property=GID -- unknown" in calls.read_text()


def test_it_starts_without_anything_but_the_standard_library() -> None:
    program = "import sys; sys.path.append(sys.argv[1]); import supervision.helpers.health_sweep; print(*sys.modules)"
    command = [sys.executable, "-I", "-S", "-c", program, str(HELPERS.parents[1])]
    loaded = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert not {"subprocess", "pathlib", "typing", "dataclasses", "asyncio"} & set(loaded)


def test_what_cannot_be_done_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    assert health_sweep.main(["--policy", "/nowhere/x.json", "--results", "/nowhere/y", "--interval-ms", "x"]) == 1
    assert "cannot check health: " in capfd.readouterr().err


def test_a_command_joins_a_process(tmp_path: Path) -> None:
    """Its user, environment and folder, and no more rights than it has; without root, only of its own user."""
    nobody: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": [12345]} if os.geteuid() == 0 else {}
    with subprocess.Popen(["sleep", "100"], env={"MARK": "a b"}, cwd="/usr", **nobody) as other:
        whom = ["65534", "65534"] if nobody else [str(os.getuid()), str(os.getgid())]
        script = 'id -u; id -G; echo "$MARK"; pwd; grep NoNewPrivs /proc/self/status'
        command = [
            sys.executable,
            "-I",
            "-S",
            str(HELPERS / "run.py"),
            "run_as_service",
            *whom,
            str(other.pid),
            "/bin/sh",
            "-c",
            script,
        ]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")
        other.kill()
    assert said[0] == ("65534" if nobody else str(os.geteuid()))
    assert not nobody or said[1] == "65534 12345"
    assert said[2:4] == ["a b", "/usr"]
    assert said[4].split() == ["NoNewPrivs:", "1"]


def test_a_process_of_another_user_is_not_joined() -> None:
    """The main process of a service can be a setuid program: the probe must not become root by it."""
    if os.geteuid() != 0:
        return  # only root changes its user at all
    with subprocess.Popen(["sleep", "100"]) as other:
        command = [
            sys.executable,
            "-I",
            "-S",
            str(HELPERS / "run.py"),
            "run_as_service",
            "65534",
            "65534",
            str(other.pid),
            "id",
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        other.kill()
    assert done.returncode != 0
    assert done.stdout == ""
    assert "its main process runs as another user: 0 0 0 0" in done.stderr


def test_the_time_that_a_sweep_has_is_reckoned_with_what_it_does_at_once() -> None:
    assert sweep_units.AT_ONCE == health_sweep.AT_ONCE
