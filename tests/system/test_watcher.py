"""What the watcher adds: strategies over several units, and starts of what was blocked."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.machines import Machine
from tests.support.projects import Make, Project

SLEEP = ["sleep", "1000"]
NO_DELAY = {"maxRestarts": 3, "window": 60_000, "backoff": {"initial": 0}}
NAMES = ("a", "b", "c", "d")
WATCHER = "omnitron-watcher.service"


def group(make: Make, strategy: str, **supervision: Any) -> Project:
    """Four apps of one group, the last behind the gate of the second; up, and watched."""
    apps: list[dict[str, Any]] = [{"name": name, "command": SLEEP} for name in NAMES]
    apps[3]["dependsOn"] = ["b"]
    project = make(apps, supervision={"strategy": strategy, **NO_DELAY, **supervision})
    project.omnitron("up")
    return project


def pids(project: Project) -> dict[str, int]:
    return {name: project.pid(name) for name in NAMES}


def kill(project: Project, name: str) -> None:
    project.machine.run("kill", "-9", str(project.pid(name)))


def memory(project: Project) -> Any:
    return json.loads(project.machine.read(f"/run/omnitron/{project.prefix}/{project.prefix}-dev.watcher.json"))


def is_idle(project: Project) -> bool:
    found = memory(project)
    return not any(found["recovery"].values()) and not found["ending"]


def settled(project: Project, names: tuple[str, ...], before: dict[str, int]) -> bool:
    """Whether exactly the apps of `names` run with another process than before, and all run."""
    now = pids(project)
    changed = {name for name in NAMES if now[name] and now[name] != before[name]}
    return changed == {*names} and all(project.state(name) == "active" for name in NAMES) and is_idle(project)


@pytest.mark.parametrize(("strategy", "ended"), [("one_for_all", ("a", "c", "d")), ("rest_for_one", ("c", "d"))])
def test_a_final_crash_ends_the_group(machine: Machine, make: Make, strategy: str, ended: tuple[str, ...]) -> None:
    project = group(make, strategy, maxRestarts=1)
    before = pids(project)
    kill(project, "b")
    again = NAMES if strategy == "one_for_all" else ("b", "c", "d")
    machine.wait(lambda: settled(project, again, before), 15, "the group is back")
    kill(project, "b")
    machine.wait(lambda: all(project.state(name) == "inactive" for name in ended), 15, "the group has ended")
    time.sleep(0.5)
    assert project.state("b") == "failed"
    assert {name for name in NAMES if project.state(name) == "active"} == {*NAMES} - {"b", *ended}
    text = project.omnitron("status", check=False).stdout
    assert "ended with b, which crashed" in text
    assert "went down with b: their group shares its failures" in project.omnitron("why", "c").stdout
    project.omnitron("reset", "b")
    machine.wait(lambda: all(project.state(name) == "active" for name in NAMES if name != "a"), 15, "all is back")
    machine.wait(lambda: memory(project)["reasons"] == {}, 5, "the reasons are forgotten")
    assert "all is as it should be" in project.omnitron("why", "c").stdout


@contextmanager
def locked(project: Project) -> Iterator[None]:
    """Keep the crash helpers from writing anything down meanwhile."""
    lock, unit = f"/run/omnitron/{project.prefix}/{project.prefix}-dev.crashes.lock", f"lock-{project.prefix}.service"
    project.machine.run("mkdir", "-p", f"/run/omnitron/{project.prefix}")
    project.machine.run("systemd-run", "--quiet", f"--unit={unit}", "flock", lock, "sleep", "infinity")
    project.machine.wait(lambda: project.machine.run("flock", "-n", lock, "true", check=False).returncode == 1, 5, "it")
    yield
    project.machine.systemctl("stop", unit)


def starts(project: Project, name: str) -> int:
    messages = [entry["MESSAGE"] for entry in project.machine.journal(project.unit(name))]
    return sum(message.startswith("Started ") for message in messages)


@pytest.mark.parametrize("final", [False, True])
def test_the_others_go_down_while_a_crash_is_still_noted(machine: Machine, make: Make, final: bool) -> None:
    """And none starts before it is known whether it was the final one."""
    project = group(make, "one_for_all", maxRestarts=0 if final else 3)
    before = pids(project)
    others = ("a", "c", "d")
    with locked(project):
        kill(project, "b")
        machine.wait(lambda: all(project.state(name) == "inactive" for name in others), 2, "the others went down")
        assert machine.show(project.unit("b"), "SubState") == "stop-post"
        machine.wait(lambda: memory(project)["presumed"].keys() == {project.unit("b")}, 2, "the crash is presumed")
    if final:
        machine.wait(lambda: project.state("b") == "failed" and is_idle(project), 10, "b is given up")
        time.sleep(0.5)
        assert {project.state(name) for name in others} == {"inactive"}
    else:
        machine.wait(lambda: settled(project, NAMES, before), 15, "the group is back")
        assert project.status()["b"]["restarts"] == 1
    assert [starts(project, name) for name in others] == [1 if final else 2] * 3
    assert memory(project)["presumed"] == {}


def test_a_crash_that_cannot_be_noted_restarts_the_others_too(machine: Machine, make: Make) -> None:
    project = group(make, "one_for_all")
    machine.run("mkdir", "-p", f"/run/omnitron/{project.prefix}/{project.prefix}-dev.crashes.new")
    before = pids(project)
    kill(project, "b")
    machine.wait(lambda: settled(project, NAMES, before), 15, "the group is back")
    assert "cannot record this crash" in "".join(entry["MESSAGE"] for entry in machine.journal(project.unit("b")))
    assert [starts(project, name) for name in NAMES] == [2] * 4


def test_a_group_that_cannot_be_remembered_goes_down_when_the_crash_is_on_record(machine: Machine, make: Make) -> None:
    """Killed before that, nobody would bring it back."""
    project = group(make, "one_for_all")
    machine.run("mkdir", "-p", f"/run/omnitron/{project.prefix}/{project.prefix}-dev.watcher.json.new")
    before = pids(project)
    with locked(project):
        kill(project, "b")
        machine.wait(lambda: machine.show(project.unit("b"), "SubState") == "stop-post", 1, "b is down")
        time.sleep(0.5)
        assert all(project.pid(name) == before[name] for name in ("a", "c", "d"))
    machine.wait(lambda: all(project.pid(name) not in (0, before[name]) for name in NAMES), 15, "the group is back")
    assert [starts(project, name) for name in NAMES] == [2] * 4


def test_the_crash_helper_is_told_when_the_process_ended(machine: Machine, make: Make) -> None:
    project = group(make, "one_for_all")
    folder = f"/run/omnitron/{project.prefix}"
    for crashes in (1, 2):  # systemd keeps no link for the run that it starts itself
        before, run = pids(project), machine.show(project.unit("b"), "InvocationID")
        with locked(project):
            kill(project, "b")
            # The watcher sees it go before the helper is done.
            machine.wait(lambda: project.state("a") != "active", 5, "the group goes down")
        machine.wait(lambda before=before: settled(project, NAMES, before), 15, "the group is back")
        noted, job, told = machine.read(f"{folder}/{project.unit('b')}.crash").splitlines()
        ends = [entry for entry in machine.journal(project.unit("b")) if "Main process exited" in entry["MESSAGE"]]
        exited = int(told.removeprefix("ExecMainExitTimestampMonotonic="))
        assert (noted, job, len(ends)) == (run, "Job=", crashes)
        assert 0 <= int(ends[-1]["__MONOTONIC_TIMESTAMP"]) - exited < 500_000
        lines = [line.split("\t") for line in machine.read(f"{folder}/{project.prefix}-dev.crashes").splitlines()]
        assert [float(at) for kind, at, *_ in lines if kind == "crash"][-1] == pytest.approx(exited / 1e6, abs=1e-5)
        assert ["run", project.unit("b"), run] in lines


def test_an_operator_touches_one_unit(machine: Machine, make: Make) -> None:
    """A stop, a restart and a crash during a stop restart nobody else; a stopped one stays so."""
    project = group(make, "one_for_all")
    before = pids(project)
    machine.systemctl("restart", project.unit("c"))
    machine.systemctl("stop", project.unit("a"))
    time.sleep(1)
    now = pids(project)
    assert (now["a"], now["b"], now["d"]) == (0, before["b"], before["d"])
    assert now["c"] not in (0, before["c"])
    kill(project, "b")
    machine.wait(lambda: project.state("b") == "active" and project.pid("c") not in (0, now["c"]), 15, "c restarted")
    machine.wait(lambda: is_idle(project) and project.state("d") == "active", 15, "the group is back")
    assert project.state("a") == "inactive"


def test_only_the_run_that_the_watcher_ends_is_no_crash(machine: Machine, make: Make) -> None:
    """SIGTERM ends both: the run that it stops with the group, and the next one, which somebody else kills."""
    project = group(make, "one_for_all")
    before, run = pids(project), machine.show(project.unit("c"), "InvocationID")
    kill(project, "a")
    machine.wait(lambda: settled(project, NAMES, before), 15, "the group is back")
    assert machine.read(f"/run/omnitron/{project.prefix}/{project.unit('c')}.stop") == f"{run}\n"
    assert [project.status()[name]["restarts"] for name in ("a", "c")] == [1, 0]
    before = pids(project)
    machine.run("kill", "-TERM", str(project.pid("c")))
    machine.wait(lambda: settled(project, NAMES, before), 15, "the group is back")
    assert [project.status()[name]["restarts"] for name in ("a", "c")] == [1, 1]
    # systemd has restarted c itself, and keeps no link for that run: it is asked for it.
    before, run = pids(project), machine.show(project.unit("c"), "InvocationID")
    kill(project, "a")
    machine.wait(lambda: settled(project, NAMES, before), 15, "the group is back")
    assert machine.read(f"/run/omnitron/{project.prefix}/{project.unit('c')}.stop") == f"{run}\n"
    assert [project.status()[name]["restarts"] for name in ("a", "c")] == [2, 1]


def test_one_stopped_while_it_waits_for_its_group_stays_stopped(machine: Machine, make: Make) -> None:
    """systemd has nothing to stop of it, and tells nobody."""
    project = group(make, "one_for_all", backoff={"type": "fixed", "initial": 10_000, "max": 10_000})
    # Left behind by an earlier one.
    machine.run("touch", f"/run/omnitron/{project.prefix}/{project.unit('d')}.held")
    before = pids(project)
    kill(project, "a")
    machine.wait(lambda: project.state("c") == project.state("d") == "inactive", 10, "the others went down")
    project.omnitron("stop", "c")
    assert machine.show(project.unit("a"), "SubState") == "start-pre", "the group still waits"
    machine.wait(lambda: is_idle(project) and project.state("d") == "active", 15, "the group is back")
    assert project.pid("a") not in (0, before["a"])
    assert project.state("c") == "inactive"
    # It is nobody's wish for ever.
    project.omnitron("start", "c")
    before = pids(project)
    kill(project, "b")
    machine.wait(lambda: settled(project, NAMES, before), 30, "all of the group restart")
    assert not machine.run("sh", "-c", f"ls /run/omnitron/{project.prefix}/*.held", check=False).stdout


def test_a_stack_stopped_in_a_recovery_stays_stopped(machine: Machine, make: Make) -> None:
    project = group(make, "one_for_all", backoff={"type": "fixed", "initial": 2000, "max": 2000})
    kill(project, "a")
    machine.wait(lambda: project.state("c") == "inactive", 10, "the others went down")
    machine.systemctl("stop", project.target)
    time.sleep(3)
    assert {project.state(name) for name in NAMES} <= {"inactive", "failed"}
    assert is_idle(project)


@pytest.mark.parametrize("how", ["KILL", "restart"])
def test_a_recovery_outlives_the_watcher(machine: Machine, make: Make, how: str) -> None:
    project = group(make, "one_for_all", backoff={"type": "fixed", "initial": 1000, "max": 1000})
    before = pids(project)
    kill(project, "a")
    machine.wait(lambda: project.state("c") == "inactive", 10, "the others went down")
    if how == "KILL":
        machine.systemctl("kill", "--signal=KILL", WATCHER)
    else:
        machine.systemctl("restart", WATCHER)
    machine.wait(lambda: settled(project, NAMES, before), 20, "the group is back")


def test_a_crash_while_the_watcher_is_away_is_made_up_for(machine: Machine, make: Make) -> None:
    project = group(make, "one_for_all")
    before = pids(project)
    machine.systemctl("stop", WATCHER)
    kill(project, "a")
    machine.wait(lambda: project.pid("a") not in (0, before["a"]), 10, "a is back by itself")
    machine.systemctl("start", WATCHER)
    machine.wait(lambda: settled(project, NAMES, before), 15, "the others follow")


def test_a_crash_while_no_descriptor_is_left_is_made_up_for(machine: Machine, make: Make) -> None:
    """What cannot be read is not taken for nothing."""
    project = group(make, "one_for_all")
    before, watcher = pids(project), machine.show(WATCHER, "MainPID")
    machine.run("prlimit", f"--pid={watcher}", "--nofile=3:4096")
    kill(project, "a")
    said = f"cannot read the crash records of {project.prefix}-dev: Too many open files; trying again"
    machine.wait(lambda: said in [entry["MESSAGE"] for entry in machine.journal(WATCHER)], 10, "it says so")
    assert project.pid("c") == before["c"]
    time.sleep(3)  # it lives on all that while
    machine.run("prlimit", f"--pid={watcher}", "--nofile=1024:4096")
    machine.wait(lambda: settled(project, NAMES, before), 15, "the others follow")
    assert machine.show(WATCHER, "MainPID") == watcher


@pytest.mark.parametrize("what", ["daemon-reload", "daemon-reexec", "dbus"])
def test_the_watcher_outlives(machine: Machine, make: Make, what: str) -> None:
    project = group(make, "one_for_all")
    main = machine.show(WATCHER, "MainPID")
    if what == "dbus":
        machine.restart_bus()
    else:
        machine.systemctl(what)
    before = pids(project)
    kill(project, "b")
    machine.wait(lambda: settled(project, NAMES, before), 20, "the group restarted")
    assert machine.show(WATCHER, "MainPID") == main


def test_what_was_blocked_starts_when_its_dependency_is_back(machine: Machine, make: Make) -> None:
    flag = "/run/may-run"
    machine.run("rm", "-f", flag)
    needs = {"command": ["sh", "-c", f"test -e {flag} && exec sleep 1000"], "health": {"probe": {"type": "command"}}}
    needs["health"] = {"probe": {"type": "command", "command": ["test", "-e", flag]}}
    project = make(
        [
            {"name": "base", **needs, "restartPolicy": {"maxRestarts": 1, "backoff": {"initial": 50, "max": 50}}},
            {"name": "mid", "command": SLEEP, "dependsOn": ["base"]},
            {"name": "top", "command": SLEEP, "dependsOn": ["mid"]},
        ]
    )
    project.omnitron("up", check=False)
    assert [project.state(name) for name in ("base", "mid", "top")] == ["failed", "inactive", "inactive"]
    why = project.omnitron("why", "top").stdout
    assert "dev/top is blocked by mid, which is blocked by base." in why
    assert "to do      remove the cause, then: omnitron reset dev/base" in why
    assert "! dev/base crashed (exit code 1)" in project.omnitron("status", check=False).stdout
    machine.run("touch", flag)
    project.omnitron("reset", "base")
    machine.wait(lambda: project.state("mid") == project.state("top") == "active", 15, "the blocked ones run")


def test_what_is_stopped_by_hand_stays_so(machine: Machine, make: Make) -> None:
    project = make([{"name": "base", "command": SLEEP}, {"name": "top", "command": SLEEP, "dependsOn": ["base"]}])
    project.omnitron("up")
    machine.systemctl("stop", project.unit("top"))
    machine.systemctl("restart", project.unit("base"))
    time.sleep(1)
    assert project.state("top") == "inactive"


def test_a_pool_fails_with_its_last_instance(machine: Machine, make: Make) -> None:
    project = make(
        [{"name": "pool", "command": SLEEP, "instances": 2}, {"name": "web", "command": SLEEP}],
        supervision={"strategy": "one_for_all", "maxRestarts": 0, "window": 60_000, "backoff": {"initial": 50}},
    )
    project.omnitron("up")
    web = project.pid("web")
    machine.run("kill", "-9", str(project.pid("pool", instance=1)))
    machine.wait(lambda: project.state("pool", instance=1) == "failed", 10, "an instance is given up")
    time.sleep(0.5)
    assert project.pid("web") == web
    machine.run("kill", "-9", str(project.pid("pool", instance=2)))
    machine.wait(lambda: project.state("web") == "inactive", 10, "the group ends with the pool")


def test_a_critical_app_that_fails_when_its_group_stops_ends_nothing(machine: Machine, make: Make) -> None:
    script = "trap 'exit 3' TERM; sleep 1000 & wait"
    project = make(
        [
            {"name": "edge", "command": SLEEP},
            {"name": "core", "command": ["sh", "-c", script], "critical": True},
        ],
        supervision={"strategy": "one_for_all"},
    )
    project.omnitron("up")
    core = project.pid("core")
    machine.run("kill", "-9", str(project.pid("edge")))
    machine.wait(lambda: project.state("core") == "failed", 5, "it has failed in its stop")
    machine.wait(lambda: project.pid("core") not in (0, core), 15, "the group has restarted")
    assert project.state("edge") == "active"
