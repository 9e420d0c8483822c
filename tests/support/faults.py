"""Random faults on a stack: what can happen to it, and what must hold in the end.

FAULT_SEED=… repeats a run. FAULTS=… sets how many there are in the long tests, with each strategy on a stack of 20.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from typing import Any

from tests.support.machines import Machine
from tests.support.projects import Make, Project

WATCHER = "omnitron-watcher.service"
STRATEGIES = ["one_for_one", "one_for_all", "rest_for_one"]
APPS = 20
AFTERMATH_S = 1.5
"""How long what there was no space for is felt after there is: a crash helper that cannot write waits for a second."""
FAULTS = int(os.environ.get("FAULTS") or 0)
"""How many the long tests are asked for; 0 for as many as they have by themselves."""


class Chaos:
    """A stack, and what can happen to it. `asked` are the apps that are asked for their health."""

    def __init__(
        self, project: Project, apps: list[str], asked: set[str], chance: random.Random, *, jumps: bool
    ) -> None:
        self.project, self.machine, self.chance = project, project.machine, chance
        self.apps, self.asked, self.jumps = apps, asked, jumps
        self.done: list[str] = []
        self.ended: dict[str, set[int]] = {name: set() for name in apps}
        """The processes of each app that were ended or made to hang: each is one crash, at most."""
        self.gently = dict.fromkeys(apps, 0)
        """How often those of each app were sent SIGTERM, after which a crash looks like the stop of its group."""
        self.full: list[tuple[float, float]] = []
        """When there was no space in /run, from and to; monotonic seconds of the machine."""

    def crash(self) -> None:
        """One, two or three processes end at once."""
        names = self.chance.sample(self.apps, self.chance.choice([1, 1, 1, 2, 3]))
        pids = [str(pid) for name in names if (pid := self._victim(name))]
        signal = self.chance.choice(["KILL", "SEGV", "TERM"])
        for name in names:
            self.gently[name] += signal == "TERM"
        self.machine.run("kill", f"-{signal}", *(pids or ["99999"]), check=False)

    def _victim(self, name: str) -> int:
        pid = self.project.pid(name)
        if pid:
            self.ended[name].add(pid)
        return pid

    def kill_watcher(self) -> None:
        self.machine.systemctl("kill", "--signal=KILL", WATCHER, check=False)

    def stop_watcher_for_a_while(self) -> None:
        self.machine.systemctl("kill", "--signal=STOP", WATCHER, check=False)
        self.crash()
        time.sleep(self.chance.random())
        self.machine.systemctl("kill", "--signal=CONT", WATCHER, check=False)

    def hang(self) -> None:
        """One that is asked for its health hangs."""
        if pid := self._victim(self.chance.choice(sorted(self.asked))):
            self.machine.run("kill", "-STOP", str(pid), check=False)

    def restart_dbus(self) -> None:
        self.machine.restart_bus()

    def reexec(self) -> None:
        self.machine.systemctl("daemon-reexec")

    def reload(self) -> None:
        self.machine.systemctl("daemon-reload")

    def fill_run(self) -> None:
        """No space where crashes are recorded, for a moment, and a crash in it."""
        begun = self._now()
        self.machine.run("sh", "-c", "cat /dev/zero >/run/fill 2>/dev/null", check=False)
        self.crash()
        time.sleep(0.3)
        self.machine.run("rm", "-f", "/run/fill")
        self.full.append((begun, self._now() + AFTERMATH_S))

    def _now(self) -> float:
        return float(self.machine.run("/usr/bin/python3", "-c", "import time; print(time.monotonic())").stdout)

    def restarted(self, name: str) -> int:
        """How often systemd says that it has restarted an app by itself, but for when there was no space.

        A reload while a restart waits makes it say so twice, of the same invocation.
        """
        times = {
            entry["INVOCATION_ID"]: int(entry["__MONOTONIC_TIMESTAMP"]) / 1e6
            for entry in self.machine.journal(self.project.unit(name))
            if "Scheduled restart job" in entry["MESSAGE"]
        }
        return sum(not any(begun <= at <= ended for begun, ended in self.full) for at in times.values())

    def unhealthy(self, name: str) -> int:
        """How often a health sweep has ended an app; on a busy machine also one that answers too late."""
        lines = self.machine.journal(f"{self.project.prefix}-dev-health-1s.service")
        return sum(f"{self.project.unit(name)} is unhealthy" in entry["MESSAGE"] for entry in lines)

    def told_of(self, names: list[str]) -> list[str]:
        """What the journal says of the restarts of apps that were restarted too often, or not often enough."""
        return [
            f"{entry['__MONOTONIC_TIMESTAMP']} {name}: {entry['MESSAGE']}"
            for name in names
            for entry in self.machine.journal(self.project.unit(name))
        ]

    def jump(self) -> None:
        """The clock of the machine is set, forth or back, and something crashes."""
        self.machine.run("date", f"--set={self.chance.choice(['+1 hour', '+3 days', '-2 hours', '-1 day'])}")
        self.crash()

    def fault(self) -> None:
        """One fault, and a pause in which it may or may not be dealt with."""
        faults: list[tuple[Callable[[], None], int]] = [
            (self.crash, 10),
            (self.kill_watcher, 3),
            (self.stop_watcher_for_a_while, 2),
            (self.hang, 2),
            (self.restart_dbus, 1),
            (self.reexec, 1),
            (self.reload, 2),
            (self.fill_run, 1),
            (self.jump, 6 * self.jumps),
        ]
        (what,) = self.chance.choices([one for one, _ in faults], [weight for _, weight in faults])
        self.done.append(what.__name__)
        what()
        time.sleep(self.chance.choice([0.0, 0.05, 0.3]))

    def states(self) -> dict[str, str]:
        """ActiveState of each app's service."""
        units = [self.project.unit(name) for name in self.apps]
        blocks = self.machine.systemctl("show", "--property=Id,ActiveState,Job", *units).strip().split("\n\n")
        found = [dict(line.split("=", 1) for line in block.splitlines()) for block in blocks]
        return {one["Id"]: one["ActiveState"] if not one["Job"] else "busy" for one in found}

    def hanging(self) -> bool:
        """Whether a process that was stopped still is."""
        files = [f"/proc/{pid}/status" for name in self.asked if (pid := self.project.pid(name))]
        return "(stopped)" in self.machine.run("cat", *files, check=False).stdout

    def is_settled(self) -> bool:
        """Whether everything runs, twice in a row."""
        for _ in range(2):
            if set(self.states().values()) != {"active"} or self.hanging():
                return False
            time.sleep(0.7)
        return True


def check_faults(machine: Machine, make: Make, strategy: str, count: int, faults: int, *, jumps: bool) -> None:
    """Let `faults` things happen to a stack of `count` apps: in the end all runs, once, and groups still work.

    `jumps` says whether the clock may be set, too.
    """
    names = [f"a{number:02}" for number in range(count)]
    asked = {names[0], names[count // 3], names[-1]}
    seed = int(os.environ.get("FAULT_SEED") or random.randrange(1 << 32))
    print(f"FAULT_SEED={seed}")  # shown when it fails
    policy = {"strategy": strategy, "maxRestarts": 10_000, "window": 60_000, "backoff": {"initial": 0}}
    apps: list[dict[str, Any]] = [{"name": name, "command": ["sleep", "100000"], "hardening": "off"} for name in names]
    machine.run("install", "-d", "-m", "777", "/srv/faults")
    # The journal outside of /run, which is full at times.
    machine.run("sh", "-c", "mkdir -p /var/log/journal; journalctl --flush; journalctl --sync")
    for app in (app for app in apps if app["name"] in asked):
        file = f"/srv/faults/{app['name']}"
        app["command"] = ["/bin/sh", "-c", f"echo $$ >{file}; exec sleep 100000"]
        probe = ["/bin/sh", "-c", f"! grep -q '(stopped)' /proc/$(cat {file})/status"]
        app["health"] = {"interval": 1000, "retries": 1, "probe": {"type": "command", "command": probe}}
    project = make(apps, supervision=policy)
    project.omnitron("up")
    chaos = Chaos(project, names, asked, random.Random(seed), jumps=jumps)
    for _ in range(faults):
        chaos.fault()
    machine.wait(chaos.is_settled, 60, f"all run, after {chaos.done}")
    machine.wait(lambda: machine.show(WATCHER, "ActiveState") == "active", 15, "the watcher runs")
    for name in names:
        group = machine.show(project.unit(name), "ControlGroup")
        listed = machine.run("systemd-cgls", "--no-pager", group).stdout
        assert listed.count("sleep 100000") == 1, (name, listed)
    told = {name: app["restarts"] for name, app in project.status().items()}
    ended = {name: len(pids) for name, pids in chaos.ended.items()}
    if strategy == "one_for_one":
        # systemd itself counts: not one is lost, and none is made up.
        assert told == ended, (
            told,
            ended,
            chaos.done,
            chaos.told_of([name for name in names if told[name] != ended[name]]),
        )
    else:
        # One that ends while its group stops is no crash, and systemd does not restart it. All others are on record.
        restarted = {name: chaos.restarted(name) for name in names}
        assert sum(restarted.values()) >= len(chaos.done) / 8, (restarted, chaos.done)
        for name in names:
            least, most = restarted[name] - chaos.gently[name], ended[name] + chaos.unhealthy(name)
            assert least <= told[name] <= most, (name, restarted, chaos.gently, told, ended, chaos.done)
    # And the strategy holds as on the first day.
    before = {name: project.pid(name) for name in names}
    crashed = chaos.chance.choice(names)
    machine.run("kill", "-9", str(before[crashed]))
    rest = {"one_for_one": [crashed], "one_for_all": names, "rest_for_one": names[names.index(crashed) :]}[strategy]

    def changed() -> set[str]:
        now = {name: project.pid(name) for name in names}
        return {name for name in names if now[name] and now[name] != before[name]}

    machine.wait(lambda: changed() == set(rest) and chaos.is_settled(), 30, f"{rest} restarted")
