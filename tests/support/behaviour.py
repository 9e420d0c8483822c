"""The table of behaviour: strategy, event, who restarts, in which order, and what there is in the end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tests.support.machines import Machine
from tests.support.projects import Make, Project

NAMES = ("a", "b", "c", "d")
# Ends cleanly when it is asked to.
APP = ["/bin/sh", "-c", "trap 'exit 0' USR1; while :; do sleep 1000 & wait $!; done"]


@dataclass(frozen=True)
class Row:
    """One event, the apps that have crashed by it, and what there is afterwards."""

    event: str
    act: Callable[[Group], object]
    crashed: tuple[str, ...] = ()
    restarted: tuple[str, ...] = ()
    """By an operator: whoever the strategy is."""
    down: str = ""
    """The app that does not run in the end."""

    def expected(self, strategy: str) -> set[str]:
        """Who restarts."""
        if not self.crashed or strategy == "one_for_one":
            return {*self.crashed, *self.restarted}
        first = min(NAMES.index(name) for name in self.crashed)
        return {*(NAMES if strategy == "one_for_all" else NAMES[first:])}


class Group:
    """Four apps, the last behind the gate of the second."""

    def __init__(self, project: Project) -> None:
        self.project, self.machine = project, project.machine
        self.cursor = ""
        self.now: dict[str, dict[str, str]] = {}
        """What was seen last."""

    def units(self, names: Iterable[str] = NAMES) -> list[str]:
        return [self.project.unit(name) for name in names]

    def look(self) -> bool:
        """See state, main process and job of each app; return whether the watcher has nothing more to do."""
        memory = f"/run/omnitron/{self.project.prefix}/{self.project.prefix}-dev.watcher.json"
        script = 'cat "$1"; shift; echo; systemctl show --property=Id,MainPID,ActiveState,Job "$@"'
        text = self.machine.run("sh", "-c", script, "sh", memory, *self.units()).stdout
        found, _, rest = text.partition("\n")
        blocks = [dict(line.split("=", 1) for line in block.splitlines()) for block in rest.strip().split("\n\n")]
        mind: Any = json.loads(found)
        self.now = dict(zip(NAMES, blocks, strict=True))
        return not any(mind["recovery"].values()) and not mind["ending"]

    def kill(self, signal: str, *names: str) -> None:
        """End the processes of some apps at once: the watcher would be quick enough to stop the second of two."""
        watcher = self.machine.show("omnitron-watcher.service", "MainPID")
        script = 'w=$1; shift; kill -STOP "$w"; kill "$@"; kill -CONT "$w"'
        pids = (self.now[name]["MainPID"] for name in names)
        self.machine.run("sh", "-c", script, "sh", watcher, f"-{signal}", *pids)

    def crash_while_stopping(self) -> None:
        """What dies while an operator stops it has not crashed."""
        unit = self.project.unit("c")
        pid = self.now["c"]["MainPID"]
        self.machine.run(
            "sh", "-c", f"systemctl stop --no-block {unit}; kill -9 {pid}; systemctl is-active {unit}", check=False
        )

    def jobs(self) -> list[tuple[str, str]]:
        """What started and stopped since the last call, in order: `("Stopped", "d")`."""
        after = [f"--after-cursor={self.cursor}"] if self.cursor else []
        options = ("--no-pager", "--output=json", *after, *(f"--unit={unit}" for unit in self.units()))
        text = self.machine.run("sh", "-c", 'journalctl --sync; journalctl "$@"', "sh", *options).stdout
        lines = [json.loads(line) for line in text.splitlines()]
        if lines:
            self.cursor = lines[-1]["__CURSOR"]
        by_unit = {unit: name for name, unit in zip(NAMES, self.units(), strict=True)}
        found = []
        for line in lines:
            verb, name = str(line["MESSAGE"]).partition(" ")[0], by_unit.get(line.get("UNIT", ""))
            if name and verb in ("Started", "Stopped"):
                found.append((verb, name))
        return found


TABLE = (
    Row("the first crashes", lambda group: group.kill("KILL", "a"), crashed=("a",)),
    Row("one in the middle crashes", lambda group: group.kill("SEGV", "c"), crashed=("c",)),
    Row("the last crashes", lambda group: group.kill("KILL", "d"), crashed=("d",)),
    Row("somebody sends SIGTERM to one", lambda group: group.kill("TERM", "b"), crashed=("b",)),
    Row("two crash at once", lambda group: group.kill("KILL", "b", "d"), crashed=("b", "d")),
    Row("one ends cleanly", lambda group: group.kill("USR1", "c"), down="c"),
    Row(
        "an operator stops one",
        lambda group: group.machine.systemctl("stop", group.project.unit("a")),
        down="a",
    ),
    Row(
        "an operator restarts one",
        lambda group: group.machine.systemctl("restart", group.project.unit("b")),
        restarted=("b",),
    ),
    Row("one dies while it is stopped", Group.crash_while_stopping, down="c"),
)


def check_table(machine: Machine, make: Make, strategy: str, rows: Iterable[Row]) -> None:
    """Make the group, and check one row after the other on it."""
    apps: list[dict[str, Any]] = [{"name": name, "command": APP} for name in NAMES]
    apps[3]["dependsOn"] = ["b"]
    policy = {"maxRestarts": 100, "window": 60_000, "backoff": {"type": "fixed", "initial": 50, "max": 50}}
    project = make(apps, supervision={"strategy": strategy, **policy})
    project.omnitron("up")
    group = Group(project)
    group.look()
    group.jobs()
    for row in rows:
        _check(machine, group, row, strategy)


def _check(machine: Machine, group: Group, row: Row, strategy: str) -> None:
    before, expected = group.now, row.expected(strategy)
    row.act(group)
    told = f"{row.event}, {strategy}"

    def settled() -> bool:
        is_idle = group.look()
        now = group.now
        changed = {name for name in NAMES if now[name]["MainPID"] not in ("0", before[name]["MainPID"])}
        states = {name: one["ActiveState"] for name, one in now.items()}
        at_rest = not any(one["Job"] for one in now.values()) and is_idle
        running = {name for name, state in states.items() if state == "active"}
        ended = not row.down or states[row.down] in ("inactive", "failed")
        return at_rest and changed == expected and running == {*NAMES} - {row.down} and ended

    machine.wait(settled, 20, f"{told}: {sorted(expected)} restarted")
    jobs = group.jobs()
    siblings = expected - {*row.crashed, *row.restarted}
    stops, starts = [[name for verb, name in jobs if verb == which] for which in ("Stopped", "Started")]
    assert sorted(name for name in stops if name in siblings) == sorted(siblings), f"{told}: each stops once: {jobs}"
    # On a slow machine one of two that crash may be back before the crash of the other stops the group, and it too.
    may_be_back = row.crashed if strategy != "one_for_one" and len(row.crashed) > 1 else ()
    twice = [name for name in may_be_back if starts.count(name) == 2][:1]
    assert sorted(starts) == sorted([*expected, *twice]), f"{told}: each starts once: {jobs}"
    if siblings:
        last_stop = max(jobs.index(("Stopped", name)) for name in siblings)
        assert all(jobs.index(("Started", name)) > last_stop for name in siblings), f"{told}: stop, then start: {jobs}"
    if {"b", "d"} <= siblings:
        # The crashed one itself waits for nobody.
        assert starts.index("b") < starts.index("d"), f"{told}: a dependency starts first: {jobs}"
    # And as it was, for the next row.
    if row.down:
        machine.systemctl("start", group.project.unit(row.down))
        group.look()
        assert {one["ActiveState"] for one in group.now.values()} == {"active"}, told
        group.jobs()
