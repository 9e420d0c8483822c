"""On a whole machine with cgroup v2: the table of behaviour once more, and all that needs controllers or a clock."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.support.behaviour import TABLE, check_table
from tests.support.faults import STRATEGIES
from tests.support.machines import Machine
from tests.support.projects import Make

MB = 1 << 20
# As many processes as it may have.
FORKS = """\
import os, time
for _ in range(10):
    try:
        if os.fork() == 0:
            break
    except OSError:
        pass
time.sleep(1000)
"""
# Grows by a megabyte at a time, and keeps it.
EATS = "import time\nkept = []\nwhile True:\n    kept.append(b'x' * (1 << 20))\n    time.sleep(0.002)\n"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_table(machine: Machine, make: Make, strategy: str) -> None:
    check_table(machine, make, strategy, TABLE)


def test_a_clock_that_jumps_changes_nothing(machine: Machine, make: Make) -> None:
    """Budgets and delays are told by the monotonic clock; a crash after a jump is a crash like any other."""
    policy = {"maxRestarts": 2, "window": 600_000, "backoff": {"type": "fixed", "initial": 300, "max": 300}}
    project = make(
        [{"name": name, "command": ["sleep", "1000"]} for name in ("a", "b")],
        supervision={"strategy": "one_for_all", **policy},
    )
    project.omnitron("up")
    for jump in ("+1 hour", "-2 hours"):
        machine.run("date", f"--set={jump}")
        before = {name: project.pid(name) for name in ("a", "b")}
        machine.run("kill", "-9", str(before["a"]))

        def both_restart(old: dict[str, int] = before) -> bool:
            return all(project.pid(name) not in (0, old[name]) for name in old)

        machine.wait(both_restart, 20, "both restart")
        machine.wait(lambda: project.state("a") == project.state("b") == "active", 10, "both run")
    machine.run("kill", "-9", str(project.pid("a")))
    machine.wait(lambda: project.state("a") == "failed" and project.state("b") == "inactive", 20, "the budget is spent")
    assert "3 times in 600 s: given up" in project.omnitron("status", check=False).stdout


def test_limits_and_figures(machine: Machine, make: Make) -> None:
    once = {"maxRestarts": 1, "window": 60_000, "backoff": {"type": "fixed", "initial": 50, "max": 50}}
    # The shell lives on: it is a child of it that eats.
    shell = 'while :; do python3 -c "$1"; sleep 1; done'
    eats = ["/usr/bin/python3", "-c", EATS]
    project = make(
        [
            {"name": "eater", "command": eats, "limits": {"memoryMax": "48mb"}, "restartPolicy": once},
            {
                "name": "parent",
                "command": ["/bin/sh", "-c", shell, "sh", EATS],
                "limits": {"memoryMax": "48mb"},
                "systemd": {"service": {"OOMPolicy": "continue"}},
            },
            {"name": "calm", "command": ["sleep", "1000"], "limits": {"memoryMax": "64mb", "tasksMax": 5}},
            {"name": "forks", "command": ["/usr/bin/python3", "-c", FORKS], "limits": {"tasksMax": 3}},
            {"name": "busy", "command": ["/bin/sh", "-c", "while :; do :; done"], "limits": {"cpuQuota": "20%"}},
        ],
        monitoring={"metrics": {"interval": 500, "retention": 60}},
    )
    project.omnitron("generate")
    machine.systemctl("start", "--no-block", project.target)
    machine.wait(lambda: project.state("eater") == "failed", 60, "what eats too much is given up")
    for verb in ("status", "inspect", "why"):
        argument = ["eater"] if verb != "status" else []
        assert "out of memory" in project.omnitron(verb, *argument, check=False).stdout, verb
    assert int(machine.show(project.unit("calm"), "MemoryMax")) == 64 * MB

    def figures() -> dict[str, Any]:
        apps = json.loads(project.omnitron("metrics", "--json").stdout)["apps"]
        return {name: app["processes"][0] for name, app in apps.items() if app["processes"]}

    machine.wait(lambda: figures().get("parent", {}).get("oomKills"), 60, "a kill is counted")
    machine.wait(lambda: 10 < figures()["busy"]["cpu"] < 35, 30, "it is held to a fifth of a CPU")
    found = figures()
    calm = found["calm"]
    assert not calm["memoryIsSum"]
    assert 0 < calm["memory"] == pytest.approx(int(machine.show(project.unit("calm"), "MemoryCurrent")), rel=0.5)
    assert calm["memoryPeak"] >= calm["memory"] * 0.9
    assert (calm["tasks"], calm["oomKills"]) == (1, 0)
    # A fourth process was refused.
    assert found["forks"]["tasks"] == 3
    text = machine.run("curl", "-s", "--unix-socket", "/run/omnitron/watcher.sock", "http://x/metrics").stdout
    assert re.search(r'^omnitron_app_oom_kills_total{.*app="parent".*} [1-9]', text, re.MULTILINE)
