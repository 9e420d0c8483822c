"""Health from outside: sweeps, what follows from them, and probes that misbehave."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from omnitron.supervision.state.crash_record import parse
from tests.support.machines import Machine
from tests.support.projects import Make, Project

SLEEP = ["sleep", "1000"]
FAST = {"interval": 500, "timeout": 1000, "retries": 2}
POLICY = {"maxRestarts": 1, "window": 60_000, "backoff": {"type": "fixed", "initial": 50, "max": 50}}


def asked(make: Make, *command: str, app: list[str] = SLEEP, **more: Any) -> Project:
    """An app that is asked by a command every half second, up."""
    health = {**FAST, "probe": {"type": "command", "command": list(command)}, **more}
    entry = {"name": "app", "command": app, "health": health, "restartPolicy": POLICY, "startupTimeout": 1500}
    project = make([entry])
    project.omnitron("up")
    return project


def health(project: Project) -> Any:
    return json.loads(project.omnitron("health", "--json", check=False).stdout)


def results(project: Project) -> Any:
    folder = f"/run/omnitron/{project.prefix}"
    return json.loads(project.machine.read(f"{folder}/{project.prefix}-dev.health-500.json"))


def sweep_of(machine: Machine, project: Project) -> str:
    """The command of a round."""
    unit = f"{project.prefix}-dev-health-500ms.service"
    lines = machine.systemctl("cat", unit).splitlines()
    return next(
        line.removeprefix("ExecStart=").replace("%t", "/run") for line in lines if line.startswith("ExecStart=")
    )


def last_status(machine: Machine, path: str, unit: str) -> str:
    exit_ = parse(machine.read(path).encode()).unit(unit).last_exit
    assert exit_ is not None
    return exit_.status


def test_an_unhealthy_app_is_restarted_and_counted(machine: Machine, make: Make) -> None:
    flag = f"/run/flag-{machine.sandbox.name}"
    machine.run("touch", flag)
    project = asked(make, "test", "-e", flag)
    unit, before = project.unit("app"), project.pid("app")
    machine.wait(lambda: results(project)[unit]["failures"] == 0, 10, "it was asked")
    assert health(project)["overall"] == "healthy"
    machine.run("rm", flag)
    path = f"/run/omnitron/{project.prefix}/{unit}.crashes"
    machine.wait(lambda: machine.run("test", "-s", path, check=False).returncode == 0, 15, "a crash was counted")
    assert project.pid("app") != before
    assert last_status(machine, path, unit) in ("ABRT", "6")
    # It cannot become ready again either: the budget ends it.
    machine.wait(lambda: project.state("app") == "failed", 20, "it is given up")
    assert health(project)["overall"] == "unhealthy"


def test_another_probe_takes_effect_without_a_restart(machine: Machine, make: Make) -> None:
    project = asked(make, "true")
    unit, before = project.unit("app"), project.pid("app")
    machine.wait(lambda: results(project)[unit]["failures"] == 0, 10, "it was asked")
    mark = f"/run/asked-{machine.sandbox.name}"
    probe = {"type": "command", "command": ["test", "!", "-e", mark]}
    entry = {"name": "app", "command": SLEEP, "health": {**FAST, "probe": probe}, "restartPolicy": POLICY}
    project.define([{**entry, "startupTimeout": 1500}])
    project.omnitron("generate")
    assert project.pid("app") == before
    machine.run("touch", mark)
    machine.wait(lambda: results(project)[unit]["failures"] > 0, 10, "the new probe failed")
    machine.run("rm", mark)


@pytest.mark.parametrize(("how", "signal"), [("stopped", "ABRT"), ("deaf", "KILL")])
def test_what_hangs_is_ended_whatever_it_does_with_signals(machine: Machine, make: Make, how: str, signal: str) -> None:
    flag = f"/run/hang-{machine.sandbox.name}"
    machine.run("touch", flag)
    deaf = "import signal, time; signal.signal(signal.SIGABRT, signal.SIG_IGN); time.sleep(1000)"
    command = ["/usr/bin/python3", "-c", deaf] if how == "deaf" else ["sleep", "1000"]
    project = asked(make, "test", "-e", flag, app=command)
    unit, before = project.unit("app"), project.pid("app")
    machine.wait(lambda: results(project)[unit]["failures"] == 0, 10, "it was asked")
    if how == "stopped":
        machine.run("kill", "-STOP", str(before))
    machine.run("rm", flag)
    path = f"/run/omnitron/{project.prefix}/{unit}.crashes"
    machine.wait(lambda: machine.run("test", "-s", path, check=False).returncode == 0, 15, "a crash was counted")
    assert last_status(machine, path, unit) == signal


def test_while_systemd_starts_anew_nobody_is_taken_for_unhealthy(machine: Machine, make: Make) -> None:
    """It answers nothing meanwhile: whom to ask, and who they run as."""
    project = asked(make, "true", retries=1)
    unit, before = project.unit("app"), project.pid("app")
    at_once = f"{sweep_of(machine, project)} & sleep 0.0$((n % 10)); systemctl daemon-reexec; wait"
    machine.run("sh", "-c", f"for n in $(seq 40); do {at_once}; done")
    assert project.pid("app") == before
    asked_at = results(project)[unit]["at"]
    machine.wait(lambda: results(project)[unit]["at"] > asked_at, 10, "it is asked again")
    assert results(project)[unit]["failures"] == 0


def test_a_check_that_fails_now_and_then_is_reported_and_does_no_harm(machine: Machine, make: Make) -> None:
    count = f"/run/count-{machine.sandbox.name}"
    machine.run("sh", "-c", f"rm -f {count}; : >{count}; chmod 666 {count}")
    # Ready at first; then every second check fails.
    project = asked(make, "sh", "-c", f"echo >>{count}; test $(($(wc -l <{count}) % 2)) = 1", retries=2)
    before = project.pid("app")
    machine.wait(lambda: health(project)["overall"] == "degraded", 10, "it is degraded")
    time.sleep(3)
    assert project.pid("app") == before
    assert len(machine.read(count)) > 4


def test_failures_within_the_start_period_restart_nothing(machine: Machine, make: Make) -> None:
    count = f"/run/warm-{machine.sandbox.name}"
    machine.run("sh", "-c", f"rm -f {count}; : >{count}; chmod 666 {count}")
    # Ready at first; each check after that fails.
    project = asked(make, "sh", "-c", f"echo >>{count}; test $(wc -l <{count}) = 1", retries=1, startPeriod="10min")
    before = project.pid("app")
    machine.wait(lambda: len(machine.read(count)) > 4, 10, "it was asked again and again")
    assert project.unit("app") not in results(project)  # such an answer counts as none
    assert project.pid("app") == before


@pytest.mark.parametrize(
    ("name", "script"),
    [
        ("hangs", "sleep 1000"),
        ("floods", "yes"),
        ("forks", "for i in 1 2 3; do (setsid sleep 1111 &) ; done; sleep 1000"),
    ],
)
def test_a_probe_that_misbehaves_is_bounded(machine: Machine, make: Make, name: str, script: str) -> None:
    flag = f"/run/calm-{name}"
    machine.run("touch", flag)
    project = asked(make, "sh", "-c", f"test -e {flag} || {{ {script}; }}", retries=1000)
    unit = project.unit("app")
    machine.run("rm", flag)
    machine.wait(lambda: results(project)[unit]["failures"] >= 2, 15, "it was stopped twice")
    assert "no answer within 1 s" in results(project)[unit]["message"]
    machine.systemctl("stop", f"{project.prefix}-dev-health-500ms.timer")
    sweep = f"{project.prefix}-dev-health-500ms.service"
    machine.wait(lambda: project.machine.show(sweep, "ActiveState") in ("inactive", "failed"), 10, "it ended")
    assert machine.run("pgrep", "-f", "[s]leep 1111", check=False).stdout == ""


def test_a_command_has_the_rights_of_its_service(machine: Machine, make: Make) -> None:
    said = f"/tmp/said-{machine.sandbox.name}"
    script = f'{{ id -un; echo "$MARK"; pwd; grep -E "NoNewPrivs|CapEff" /proc/self/status; }} >{said}.new'
    script += f"; mv {said}.new {said}"
    health = {**FAST, "probe": {"type": "command", "command": ["sh", "-c", script]}}
    env = {"MARK": "a b", "LD_PRELOAD": "/nowhere.so"}
    project = make([{"name": "app", "command": SLEEP, "env": env, "health": health}])
    project.omnitron("up")
    unit = project.unit("app")
    machine.wait(lambda: results(project)[unit]["at"] > 0, 10, "it was asked")
    # In the private /tmp of the service.
    text = machine.run("nsenter", "-t", str(project.pid("app")), "-m", "cat", said).stdout.split("\n")
    assert text[:3] == ["www-data", "a b", project.folder]
    assert text[3].split() == ["CapEff:", "0000000000000000"]
    assert text[4].split() == ["NoNewPrivs:", "1"]


def test_nothing_is_asked_of_what_does_not_run(machine: Machine, make: Make) -> None:
    project = asked(make, "true")
    unit = project.unit("app")
    machine.wait(lambda: unit in results(project), 10, "it was asked")
    machine.systemctl("stop", unit)
    machine.wait(lambda: unit not in results(project), 10, "it is not asked any more")
    machine.systemctl("stop", project.target)
    assert machine.show(f"{project.prefix}-dev-health-500ms.timer", "ActiveState") == "inactive"


def test_http_and_tcp(machine: Machine, make: Make) -> None:
    """One sweep asks all that have the same interval."""
    page = {"transports": {"http": {"port": 8181}}, "command": ["python3", "-m", "http.server", "8181"]}
    apps = [
        {"name": "web", **page, "health": {**FAST, "probe": {"type": "http"}}},
        {"name": "port", "command": SLEEP, "health": {**FAST, "probe": {"type": "tcp", "target": "127.0.0.1:8181"}}},
    ]
    project = make(apps)
    project.omnitron("up")
    units = {project.unit("web"), project.unit("port")}
    machine.wait(lambda: set(results(project)) == units, 10, "both were asked")
    assert {one["failures"] for one in results(project).values()} == {0}
