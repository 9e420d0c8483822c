"""Replacing instances under a constant load: what is lost, and what is not."""

from __future__ import annotations

import pytest

from tests.support.host_load import CLIENTS, pool, under_load
from tests.support.machines import Machine
from tests.support.projects import Make


@pytest.mark.parametrize("mode", ["keep", "new"])
def test_reload_and_scale_lose_nothing(machine: Machine, make: Make, mode: str) -> None:
    project = pool(make, 3)
    pids = {project.pid("app", "http", n) for n in (1, 2, 3)}
    steps = ("omnitron reload app", "omnitron scale app 5", "omnitron scale app 2", "omnitron scale app 3")
    # Enough for the load to last as long as the steps do, on a fast machine too.
    found = under_load(machine, project, mode, 60_000 if mode == "keep" else 20_000, *steps)
    assert found["failures"] == {}
    assert sum(found["instances"].values()) >= 20_000
    assert not pids & {project.pid("app", "http", n) for n in (1, 2, 3)}


@pytest.mark.parametrize("mode", ["keep", "new"])
def test_a_single_instance_is_replaced_behind_its_socket(machine: Machine, make: Make, mode: str) -> None:
    project = pool(make, None)
    pid = project.pid("app", "http")
    found = under_load(machine, project, mode, 8_000 if mode == "keep" else 4_000, "omnitron reload app")
    assert found["failures"] == {}
    assert project.pid("app", "http") != pid


def test_a_kill_loses_at_most_what_is_in_flight(machine: Machine, make: Make) -> None:
    project = pool(make, 3)
    found = under_load(machine, project, "new", 10_000, f"kill -9 {project.pid('app', 'http', 2)}")
    assert sum(found["failures"].values()) <= CLIENTS
    machine.wait(lambda: project.state("app", "http", 2) == "active", 10, "it is back")
