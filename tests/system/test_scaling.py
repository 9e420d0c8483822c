"""Pools that follow the load."""

from __future__ import annotations

import json
import re

from tests.support.machines import Machine
from tests.support.projects import Make, Project

METRICS = {"metrics": {"interval": 300, "retention": 60}}
SCALING = {"strategy": "auto", "maxInstances": 3, "targetCPU": 15, "cooldownPeriod": 600}


def running(project: Project) -> list[int]:
    return [n for n in range(1, 6) if project.state("pool", "work", n) == "active"]


def pool(make: Make, script: str) -> Project:
    work = {"name": "work", "command": ["sh", "-c", script], "instances": 1, "scaling": SCALING}
    project = make([{"name": "pool", "bootstrap": "bootstrap.json"}], monitoring=METRICS)
    project.write("bootstrap.json", json.dumps({"name": "pool", "version": "1", "processes": [work]}))
    project.omnitron("up")
    return project


def test_a_pool_grows_under_load_and_shrinks_after_it(machine: Machine, make: Make) -> None:
    flag = f"/run/load-{machine.sandbox.name}"
    machine.run("touch", flag)
    project = pool(make, f"while :; do test -e {flag} && : || sleep 0.2; done")
    machine.wait(lambda: running(project) == [1, 2, 3], 60, "it grows to its limit")
    machine.run("rm", flag)
    machine.wait(lambda: running(project) == [1], 60, "it shrinks to what is declared")
    said = [entry["MESSAGE"] for entry in machine.journal("omnitron-watcher.service")]
    assert any(f"{project.prefix}-dev-pool-work: from 1 to 2 instances: CPU is at" in line for line in said)
    assert any("from 2 to 1 instances: little to do for 2 instances" in line for line in said)


SLOW = """\
import asyncio
from omnitron import service

@service("Slow")
class Slow:
    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
"""
# Calls that wait, sent at once, each on a connection of its own.
CALLS = """\
import json, sys, threading, urllib.request
def call():
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "Slow.wait", "params": {"seconds": 6}}).encode()
    request = urllib.request.Request("http://127.0.0.1:8391/rpc", body, {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=30).read()
threads = [threading.Thread(target=call) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_a_pool_grows_with_the_calls_that_wait(machine: Machine, make: Make) -> None:
    """The process host tells how many it is serving: the CPU has nothing to do."""
    scaling = {"strategy": "auto", "maxInstances": 2, "targetCPU": 100, "queueThreshold": 3, "cooldownPeriod": 600}
    http = {"http": {"port": 8391, "host": "127.0.0.1", "socketActivation": True}}
    work = {"name": "work", "module": "slow.py", "instances": 1, "scaling": scaling, "transports": http}
    project = make([{"name": "pool", "bootstrap": "bootstrap.json"}], monitoring=METRICS)
    project.write("bootstrap.json", json.dumps({"name": "pool", "version": "1", "processes": [work]}))
    project.write("slow.py", SLOW)
    project.omnitron("up")
    machine.run("systemd-run", "--collect", "python3", "-c", CALLS)

    def pending() -> int:
        pool = json.loads(project.omnitron("metrics", "--json").stdout)["apps"]["pool"]
        return sum(one["pendingCalls"] or 0 for one in pool["processes"])

    machine.wait(lambda: pending() >= 4, 6, "figures tell of them")

    def said() -> str:
        entries = machine.journal("omnitron-watcher.service")
        return " ".join(entry["MESSAGE"] for entry in entries if f"{project.prefix}-dev-pool" in entry["MESSAGE"])

    # As many as there were when it looked: they do not all arrive at one moment.
    grown = re.compile(r"from 1 to 2 instances: [2-8] calls are pending")
    machine.wait(lambda: grown.search(said()), 20, "it grows")


def test_a_stack_that_stops_is_not_scaled(machine: Machine, make: Make) -> None:
    project = pool(make, "while :; do :; done")
    machine.wait(lambda: len(running(project)) > 1, 60, "it grows")
    project.omnitron("down")
    machine.run("sleep", "2")
    assert running(project) == []
