"""Rounds of health probes, without a systemd: who is asked, and what is made of the answers."""

from __future__ import annotations

import json
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
from omnitron.supervision.helpers.health_sweep import ask, running
from omnitron.supervision.state import health_results, probes
from omnitron.supervision.state.health_results import Result
from omnitron.supervision.state.probes import Probe, StackProbes

HELPERS = Path(health_sweep.__file__).parent


def probe(unit: str, kind: str = "tcp", argv: tuple[str, ...] = ("h:1",), start_period_ms: int = 0) -> Probe:
    return Probe(unit, kind, argv, 1000, 1, start_period_ms)


def test_what_runs_is_probed_and_each_instance_of_a_pool() -> None:
    each = [probe("a.service"), probe("p@.service"), probe("down.service")]
    active = ["a.service", "b.service", "p@1.service", "p@2.service", "pp@1.service", "x.service"]
    found = list(running(each, active))
    assert found == [probe("a.service"), probe("p@1.service"), probe("p@2.service")]


@pytest.mark.parametrize(("age_s", "counts"), [(-1, False), (1, False), (29, False), (31, True)])
def test_a_failure_counts_once_the_process_has_had_its_time_to_start(age_s: int, counts: bool) -> None:
    now = 10**9

    class Told:
        def get(self, name: str) -> str:
            return {"ExecMainStartTimestampMonotonic": str(now - age_s * 10**6)}[name]

    started = Told()
    asked = probe("a.service", start_period_ms=30_000)
    assert health_sweep._counts(asked, started, now) == counts  # type: ignore[arg-type] # as manager.Properties


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
        good = probe("good", "tcp", (f"127.0.0.1:{server.getsockname()[1]}",))
        wrong = probe("wrong", "nonsense", ())
        many = [Probe(f"u{number}", *good[1:]) for number in range(50)]
        answers = ask([wrong, *many], user=True)
    assert {answers[each.unit] for each in many} == {None}
    assert answers["wrong"]


def test_what_cannot_be_asked_is_as_it_was(systemctl: Callable[[str], Path], tmp_path: Path) -> None:
    """systemd that starts anew answers nothing: that is no failure of the process."""
    calls = systemctl("exit 1")
    unknown, asked = probe("unknown", "command", ("true",)), probe("asked", "tcp", ("nonsense",))
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


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--probes", "/nowhere/x.json", "--results", "/nowhere/y"], "No such file or directory"),
        (
            ["--policy", "/x.json", "--results", "/y", "--interval-ms", "1000"],
            "made by an older omnitron",
        ),
    ],
)
def test_what_cannot_be_done_is_reported(capfd: pytest.CaptureFixture[str], arguments: list[str], why: str) -> None:
    assert health_sweep.main(arguments) == 1
    output = capfd.readouterr().err
    assert output.startswith("<3>cannot check health: ") and why in output


def test_probes_are_read_as_they_were_written(tmp_path: Path) -> None:
    stack = StackProbes("/srv/é.yaml", "omnitron-dev", (probe("a.service"), probe("p@.service", "command", ("é", ""))))
    (tmp_path / "probes.json").write_text(probes.marshal(stack))
    assert probes.read(f"{tmp_path}/probes.json") == stack


GOOD = {"unit": "a", "kind": "tcp", "argv": ["h:1"], "timeout": 1, "retries": 1, "startPeriod": 0}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "it is damaged"),
        ("\0\xff", "it is damaged"),
        ("[" * 100_000, "it is damaged"),
        ("[]", "it is damaged"),
        ({}, "it is damaged"),
        ({"version": "1"}, "it is damaged"),
        ({"version": 2, "other": 1}, "a newer omnitron wrote it"),
        ({"version": 0}, "an older omnitron wrote it"),
        ({"more": 1}, "it is damaged"),
        ({"stem": 1}, "it is damaged"),
        ({"probes": {}}, "it is damaged"),
        ({"probes": [1]}, "it is damaged"),
        ({"probes": [GOOD | {"more": 1}]}, "it is damaged"),
        ({"probes": [GOOD | {"timeout": True}]}, "it is damaged"),
        ({"probes": [GOOD | {"argv": "h:1"}]}, "it is damaged"),
        ({"probes": [{key: value for key, value in GOOD.items() if key != "kind"}]}, "it is damaged"),
    ],
)
def test_probes_that_cannot_be_used(tmp_path: Path, content: Any, why: str) -> None:
    if content:
        whole = {"version": 1, "source": "/x", "stem": "omnitron-dev", "probes": [GOOD]}
        content = json.dumps(whole | content) if isinstance(content, dict) else content
    (tmp_path / "probes.json").write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(ValueError, match=why) as caught:
        probes.read(f"{tmp_path}/probes.json")
    assert str(caught.value).endswith("; `omnitron generate` writes it again")


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
