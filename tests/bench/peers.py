"""Process managers side by side: the same workers, the same kill, each in a sandbox of its own.

pm2, supervisord and circus are installed below `.bench` from their registries, as their own pages say, and run with
their own defaults but for restarting at once and without a limit. Restarts are what systemd does for omnitron, so
the memory of PID 1 counts for it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from abc import ABC, abstractmethod

from tests.bench.machine import CHECKOUT, Bench, booted
from tests.bench.table import Row, median

FOLDER = CHECKOUT / ".bench"
PYTHON = FOLDER / "venv/bin/python"
PM2 = FOLDER / "node_modules/pm2/bin/pm2"
COUNTS = (100, 500)
KILLS = 15
WORKERS = 10
IDLE_S = 20.0
MARKS = "/run/marks"

# A shell notes that it runs, and becomes the process that stays.
LIGHT = "#!/bin/sh\n: > /run/marks/$$\nexec sleep 100000\n"

# Each worker is a mark by the name of its process; the time at which it began is in it.
NUMBERED = """\
import os, time
now = time.clock_gettime(time.CLOCK_MONOTONIC)
mark = f"/run/marks/{os.getpid()}"
with open("/run/" + str(os.getpid()), "w") as file:
    file.write(str(now))
os.rename("/run/" + str(os.getpid()), mark)
time.sleep(100000)
"""

START = """\
import os, subprocess, time
before = time.perf_counter()
subprocess.run({line!r}, shell=True, check=True)
while len(os.listdir({marks!r})) < {count}:
    time.sleep(0.002)
    if time.perf_counter() > before + 300:
        raise SystemExit("they did not all start")
print(1000 * (time.perf_counter() - before))
"""

# Which mark is new tells which process was started: managers do not all number theirs.
KILLED = """\
import os, time
times = []
for _ in range({kills}):
    marks = set(os.listdir({marks!r}))
    victim = min(marks)
    os.unlink({marks!r} + "/" + victim)
    before = time.clock_gettime(time.CLOCK_MONOTONIC)
    os.kill(int(victim), 9)
    while not (new := set(os.listdir({marks!r})) - marks):
        time.sleep(0.0005)
        if time.clock_gettime(time.CLOCK_MONOTONIC) > before + 30:
            raise SystemExit("it did not come back")
    time.sleep(0.4)
    times.append(1000 * (float(open({marks!r} + "/" + new.pop()).read()) - before))
print(repr(times))
"""


class Peer(ABC):
    """One process manager. `launch` is a command that ends when all workers were told to start, or stays."""

    name = ""

    @abstractmethod
    def prepare(self, bench: Bench, program: list[str], count: int) -> str:
        """Write what it needs to keep `count` processes of `program`; return the shell line that starts them."""

    @abstractmethod
    def pids(self, bench: Bench) -> list[int]:
        """Return the processes of the manager itself."""


class Omnitron(Peer):
    """Ours."""

    name = "omnitron"

    def prepare(self, bench: Bench, program: list[str], count: int) -> str:
        policy = {"maxRestarts": 1000, "backoff": {"initial": 0}}
        app = {"name": "w", "command": program, "instances": count, "user": "root", "hardening": "off"}
        bench.project([{**app, "restartPolicy": policy}], stacks={"prod": {"type": "local"}})
        return "systemctl start bench-prod.target"

    def pids(self, bench: Bench) -> list[int]:
        return [1, int(bench.run("systemctl", "show", "-P", "MainPID", "omnitron-watcher.service"))]


class Supervisord(Peer):
    """http://supervisord.org."""

    name = "supervisord"

    def prepare(self, bench: Bench, program: list[str], count: int) -> str:
        lines = [
            "[supervisord]",
            "nodaemon=true",
            "logfile=/dev/null",
            "logfile_maxbytes=0",
            "minfds=4096",
            "[program:w]",
            f"command={' '.join(program)}",
            f"numprocs={count}",
            "process_name=%(process_num)d",
            "autorestart=true",
            "startsecs=0",
            "stdout_logfile=/dev/null",
            "stderr_logfile=/dev/null",
        ]
        bench.write("/srv/bench/supervisord.conf", "\n".join(lines) + "\n")
        return f"{PYTHON.with_name('supervisord')} -c /srv/bench/supervisord.conf >/dev/null 2>&1 &"

    def pids(self, bench: Bench) -> list[int]:
        return _found(bench, "supervisord")


class Circus(Peer):
    """https://circus.readthedocs.io."""

    name = "circus"

    def prepare(self, bench: Bench, program: list[str], count: int) -> str:
        lines = [
            "[circus]",
            "endpoint = ipc:///run/circus",
            "pubsub_endpoint = ipc:///run/circus-pubsub",
            "[watcher:w]",
            f"cmd = {' '.join(program)}",
            f"numprocesses = {count}",
            "max_retry = -1",
        ]
        bench.write("/srv/bench/circus.ini", "\n".join(lines) + "\n")
        return f"{PYTHON.with_name('circusd')} /srv/bench/circus.ini >/dev/null 2>&1 &"

    def pids(self, bench: Bench) -> list[int]:
        return _found(bench, "circusd")


class Pm2(Peer):
    """https://pm2.io."""

    name = "pm2"

    def prepare(self, bench: Bench, program: list[str], count: int) -> str:
        app = {
            "name": "w",
            "script": program[0],
            "args": program[1:],
            "interpreter": "none",
            "exec_mode": "fork",
            "instances": count,
            "out_file": "/dev/null",
            "error_file": "/dev/null",
            "max_restarts": 100000,
        }
        bench.write("/srv/bench/pm2.json", json.dumps({"apps": [app]}))
        return f"PM2_HOME=/srv/bench/.pm2 {shutil.which('node')} {PM2} start /srv/bench/pm2.json >/dev/null"

    def pids(self, bench: Bench) -> list[int]:
        return _found(bench, "God Daemon")


def measure() -> list[Row]:
    """Return the rows: ours beside each peer's in turn."""
    ours = _figures(Omnitron())
    rows: list[Row] = []
    for peer in (Pm2(), Supervisord(), Circus()):
        problem = _install(peer)
        if problem:
            print(f"leaving out {peer.name}: {problem}", file=sys.stderr)
            continue
        theirs = _figures(peer)
        rows += [Row(what, value, peer.name, theirs[what], "", _unit(what)) for what, value in ours.items()]
    return rows


def _unit(what: str) -> str:
    return "ms" if what.startswith(("start", "kill")) else "MB" if what.startswith("memory") else "%"


def _figures(peer: Peer) -> dict[str, float]:
    """Return the figures of one manager, by what they are."""
    found = {}
    for count in COUNTS:
        with booted() as bench:
            _place(bench)
            line = peer.prepare(bench, ["/srv/bench/light"], count)
            found[f"start of {count} processes"] = _started(bench, line, count)
            bench.run("sleep", "5")
            pids = peer.pids(bench)
            found[f"memory of the manager with {count} (PSS)"] = sum(bench.pss_mb(pid) for pid in pids)
            before, began = sum(bench.cpu_s(pid) for pid in pids), time.monotonic()
            bench.run("sleep", str(IDLE_S))
            used = (sum(bench.cpu_s(pid) for pid in pids) - before) / (time.monotonic() - began)
            found[f"CPU of the manager, idle with {count}"] = 100 * used
    with booted() as bench:
        _place(bench)
        line = peer.prepare(bench, ["/usr/bin/python3", "-I", "-S", "/srv/bench/numbered.py"], WORKERS)
        _started(bench, line, WORKERS)
        bench.run("sleep", "3")
        found["kill to first instruction"] = median(eval(bench.script(KILLED.format(kills=KILLS, marks=MARKS))))
    return found


def _place(bench: Bench) -> None:
    bench.write("/srv/bench/light", LIGHT)
    bench.run("chmod", "755", "/srv/bench/light")
    bench.write("/srv/bench/numbered.py", NUMBERED)
    bench.run("install", "-d", "-m", "777", MARKS)


def _started(bench: Bench, line: str, count: int) -> float:
    """Return how long it takes until `count` workers run, in ms."""
    return float(bench.script(START.format(line=line, marks=MARKS, count=count)))


def _found(bench: Bench, text: str) -> list[int]:
    """Return the processes of a manager; what asks has the text in its own arguments for a moment."""
    found = [int(pid) for pid in bench.run("pgrep", "-f", text).split()]
    return [pid for pid in found if bench.pss_mb(pid)]


def _install(peer: Peer) -> str | None:
    """Install a peer if it is not there; say what keeps it from that."""
    FOLDER.mkdir(exist_ok=True)
    if isinstance(peer, Pm2):
        if PM2.exists():
            return None
        if not shutil.which("npm"):
            return "npm is not installed"
        return _run("npm", "install", "--silent", "--no-fund", "--no-audit", "--prefix", str(FOLDER), "pm2")
    if PYTHON.with_name("circusd").exists() and PYTHON.with_name("supervisord").exists():
        return None
    pip = (str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    return _run("python3", "-m", "venv", str(FOLDER / "venv")) or _run(*pip, "supervisor", "circus", "setuptools")


def _run(*command: str) -> str | None:
    done = subprocess.run(command, capture_output=True, text=True)
    return (done.stderr.strip().splitlines() or ["it failed"])[-1] if done.returncode else None
