"""What the watcher costs, and how soon a group is back after a crash."""

from __future__ import annotations

import time

from tests.bench.machine import booted
from tests.bench.table import Row, median

CRASHES = 21
IDLE_S = 30.0

# From kill -9 of one of ten to the start of the last of the ten new processes, by the times that systemd notes.
MEASURE = """\
import os, subprocess, time
units = {units!r}
def show(*properties):
    command = ["systemctl", "show", "--property=" + ",".join(properties), *units]
    blocks = subprocess.run(command, capture_output=True, text=True).stdout.strip().split("\\n\\n")
    return [dict(line.split("=", 1) for line in block.splitlines()) for block in blocks]
times = []
for _ in range({crashes}):
    pid = int(show("MainPID")[0]["MainPID"])
    start = time.clock_gettime(time.CLOCK_MONOTONIC)
    os.kill(pid, 9)
    while True:
        time.sleep(0.5)
        found = show("ActiveState", "ActiveEnterTimestampMonotonic")
        begun = [int(one["ActiveEnterTimestampMonotonic"]) / 1e6 for one in found]
        if all(one["ActiveState"] == "active" for one in found) and min(begun) > start:
            break
    times.append(1000 * (max(begun) - start))
print(repr(times))
"""

# What systemd alone takes to stop nine units and to start them again.
BARE = """\
import subprocess, time
units = [f"bare-{{n}}.service" for n in range(9)]
for unit in units:
    with open(f"/run/systemd/system/{{unit}}", "w") as file:
        file.write("[Service]\\nType=exec\\nUser=www-data\\nExecStart=/bin/sleep 10000\\n")
subprocess.run(["systemctl", "daemon-reload"])
subprocess.run(["systemctl", "start", *units])
times = []
for _ in range({rounds}):
    time.sleep(0.5)
    start = time.monotonic()
    subprocess.run(["systemctl", "stop", *units])
    subprocess.run(["systemctl", "start", *units])
    times.append(1000 * (time.monotonic() - start))
print(repr(times))
"""


def measure() -> list[Row]:
    """Return the rows: a group of ten, and memory and idle CPU with 100 and 1,000 processes."""
    rows = [_group(None), _group("trixie")]
    for count, memory_mb, cpu in ((100, 25, 0.5), (1000, 40, 3.0)):
        rows += _idle(count, memory_mb, cpu)
    return rows


def _group(suite: str | None) -> Row:
    with booted(suite) as bench:
        apps = [{"name": f"a{n}", "command": ["sleep", "10000"], "user": "www-data"} for n in range(10)]
        policy = {"strategy": "one_for_all", "maxRestarts": 1000, "backoff": {"initial": 0}}
        bench.project([{**app, "hardening": "off"} for app in apps], supervision=policy)
        bench.run("systemctl", "start", "bench-dev.target")
        bench.run("sleep", "2")
        units = [f"bench-dev-a{n}-main.service" for n in range(10)]
        times = eval(bench.script(MEASURE.format(units=units, crashes=CRASHES)))
        version = bench.run("systemctl", "--version").split()[1]
        bare = eval(bench.script(BARE.format(rounds=CRASHES)))
    wanted = "at most 150" if suite else ""
    what = f"one of ten crashes to all ten restarted, one_for_all, {version}"
    return Row(what, median(times), "nine bare units stopped, started", median(bare), wanted)


def _idle(count: int, memory_mb: int, cpu: float) -> list[Row]:
    with booted() as bench:
        apps = [{"name": f"a{n}", "command": ["sleep", "10000"], "user": "www-data"} for n in range(count)]
        bench.project([{**app, "hardening": "off"} for app in apps], stacks={"prod": {"type": "local"}})
        bench.run("systemctl", "start", "bench-prod.target")
        bench.run("sleep", "5")
        pid = int(bench.run("systemctl", "show", "-P", "MainPID", "omnitron-watcher.service"))
        before, began = bench.cpu_s(pid), time.monotonic()
        bench.run("sleep", str(IDLE_S))
        used = (bench.cpu_s(pid) - before) / (time.monotonic() - began)
        pss = bench.pss_mb(pid)
    return [
        Row(f"memory of the watcher, {count} processes (PSS)", pss, "", None, f"at most {memory_mb}", "MB"),
        Row(f"CPU of the idle watcher, {count} processes ", 100 * used, "", None, f"at most {cpu}", "%"),
    ]
