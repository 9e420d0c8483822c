"""A load of minutes, while instances are replaced over and over."""

from __future__ import annotations

from tests.support.host_load import pool, under_load
from tests.support.machines import Machine
from tests.support.projects import Make

REQUESTS = 600_000
ROUNDS = 40
TIMEOUT_S = 1200
GROWTH_BYTES = 16 << 20


def test_nothing_is_lost_and_nothing_grows(machine: Machine, make: Make) -> None:
    project = pool(make, 3)
    warm = under_load(machine, project, "keep", 20_000, "true")
    assert warm["failures"] == {}
    restarts = project.status()["app"]["restarts"]

    def watcher_bytes() -> int:
        pid = machine.show("omnitron-watcher.service", "MainPID")
        status = machine.read(f"/proc/{pid}/status")
        return 1024 * int(status.partition("VmRSS:")[2].split()[0])

    before = watcher_bytes()
    steps = ("omnitron reload app", "omnitron scale app 5", "omnitron scale app 2", "omnitron scale app 3")
    found = under_load(machine, project, "keep", REQUESTS, *(steps * (ROUNDS // len(steps))), timeout=TIMEOUT_S)
    assert found["failures"] == {}
    assert sum(found["instances"].values()) == REQUESTS
    assert project.status()["app"]["restarts"] == restarts
    assert watcher_bytes() < before + GROWTH_BYTES
