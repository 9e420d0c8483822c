"""Ports of a stack: deterministic, remembered, and no two on one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from omnitron.errors import DefinitionError
from omnitron.infra.ports import name_hash, offset_of
from omnitron.planner.facts import Assignments
from omnitron.planner.plan import make_plan
from tests.support.build import bootstrap, facts, loaded, shop, write


def project(folder: Path, **stack: Any) -> dict[str, Any]:
    """A definition whose one app needs both servers."""
    write(folder / "config", {"omnitron": {"database": True, "redis": True}}, ".json", "default")
    app = {"name": "app", "bootstrap": bootstrap(folder, {"name": "p", "command": ["x"]})}
    return shop(app, stacks={"dev": {"type": "local", **stack}})


def ports(folder: Path, data: dict[str, Any], known: Assignments | None = None) -> dict[str, dict[str, int]]:
    from dataclasses import replace

    plan = make_plan(loaded(folder, data), replace(facts(), assignments=known or Assignments()))
    return {placed.name: dict(placed.ports) for placed in plan.stacks[0].infra.services}


@pytest.mark.parametrize(
    ("name", "offset"),
    [
        *[("dev", 0), ("test", 100), ("staging", 200), ("prod", 300)],
        *[("qa", 400), ("preview", 800), ("production", 900), ("ci", 1000), ("demo", 1100), ("canary", 1200)],
    ],
)
def test_the_name_of_a_stack_moves_its_ports(tmp_path: Path, name: str, offset: int) -> None:
    stack = loaded(tmp_path, shop({"name": "a"})).config.stacks["dev"]
    assert offset_of(name, stack, "postgres") == offset


def test_the_hash_is_that_of_utf16() -> None:
    assert name_hash("") == 0
    assert name_hash("a") == 97
    assert name_hash("\U0001f600") == abs(0xD83D * 31 + 0xDE00)


def test_offsets_of_the_stack_replace_the_table(tmp_path: Path) -> None:
    data = project(tmp_path, settings={"portOffsets": {"postgres": 7}})
    assert ports(tmp_path, data) == {"postgres": {"main": 5439}, "redis": {"main": 6379}}


def test_an_offset_of_apps_leaves_services_where_they_are(tmp_path: Path) -> None:
    """`plan` advises it where two stacks have an app of one port."""
    data = project(tmp_path, settings={"portOffsets": {"apps": 200}})
    assert ports(tmp_path, data) == {"postgres": {"main": 5432}, "redis": {"main": 6379}}


def test_a_range_is_given_out_and_remembered(tmp_path: Path) -> None:
    data = project(tmp_path, portRange={"start": 7000, "end": 7001})
    assert ports(tmp_path, data) == {"postgres": {"main": 7000}, "redis": {"main": 7001}}
    before = Assignments({"omnitron-dev": {"redis.main": 7000}})
    assert ports(tmp_path, data, before) == {"postgres": {"main": 7001}, "redis": {"main": 7000}}


def test_a_range_that_is_too_small(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="portRange: cannot give out ports: 2 ports are needed, and the range"):
        ports(tmp_path, project(tmp_path, portRange={"start": 7000, "end": 7000}))


@pytest.mark.parametrize(
    ("known", "why"),
    [
        (Assignments(listening=frozenset({5432})), "something on this host listens on it: ss -ltnp 'sport = :5432'"),
        (Assignments({"other-dev": {"cache.main": 5432}}), r"it is that of cache.main of other-dev"),
    ],
)
def test_a_port_that_is_taken_is_named(tmp_path: Path, known: Assignments, why: str) -> None:
    with pytest.raises(DefinitionError, match=f"cannot give postgres port 5432: {why}.*choose another, or set stacks"):
        ports(tmp_path, project(tmp_path), known)


def test_a_port_of_an_app_is_taken_too(tmp_path: Path) -> None:
    data = project(tmp_path)
    data["apps"].append({**data["apps"][0], "name": "web", "command": ["x"], "transports": {"http": {"port": 6379}}})
    del data["apps"][1]["bootstrap"]
    with pytest.raises(DefinitionError, match="cannot give redis port 6379: web listens on it"):
        ports(tmp_path, data)


def test_its_own_server_does_not_stand_in_its_way(tmp_path: Path) -> None:
    running = Assignments(
        {"omnitron-dev": {"postgres.main": 5432, "redis.main": 6379}}, listening=frozenset({5432, 6379})
    )
    assert ports(tmp_path, project(tmp_path), running)["postgres"] == {"main": 5432}


def test_two_stacks_have_ports_of_their_own(tmp_path: Path) -> None:
    data = project(tmp_path)
    data["stacks"]["staging"] = {"type": "local"}
    plan = make_plan(loaded(tmp_path, data), facts())
    taken = [port for stack in plan.stacks for placed in stack.infra.services for port in placed.ports.values()]
    assert sorted(taken) == [5432, 5632, 6379, 6579]


def test_two_stacks_on_one_port_are_refused(tmp_path: Path) -> None:
    data = project(tmp_path)
    data["stacks"]["staging"] = {"type": "local", "settings": {"portOffsets": {"redis": 5}}}
    with pytest.raises(
        DefinitionError, match=r"cannot give postgres port 5432: it is that of postgres\.main of omnitron-"
    ):
        make_plan(loaded(tmp_path, data), facts())


def web(**stacks: Any) -> dict[str, Any]:
    """A definition with one app that listens on two ports, and these stacks."""
    ports = {"http": 3000, "websocket": 3001}
    transports = {kind: {"port": port, "socketActivation": True} for kind, port in ports.items()}
    app = {"name": "web", "command": ["x"], "transports": transports}
    return shop(app, stacks={name: {"type": "local", **said} for name, said in stacks.items()})


def test_two_stacks_whose_apps_have_the_same_ports_are_told_apart(tmp_path: Path) -> None:
    plan = make_plan(loaded(tmp_path, web(dev={}, staging={})), facts())
    (line,) = plan.warnings
    assert "stacks.staging: cannot run at the same time as omnitron-dev: both have port 3000 (web), 3001 (web)" in line
    assert "to run both, set stacks.staging.settings.portOffsets.apps" in line


def test_the_ports_of_apps_move_when_the_stack_says_so(tmp_path: Path) -> None:
    data = web(dev={}, staging={"settings": {"portOffsets": {"apps": 200}}})
    plan = make_plan(loaded(tmp_path, data), facts())
    assert not plan.warnings
    listeners = [one.port for stack in plan.stacks for process in stack.apps["web"] for one in process.listeners]
    assert listeners == [3000, 3001, 3200, 3201]
    assert plan.stacks[1].policy.ports == {"web:main.http": 3200, "web:main.websocket": 3201}


def test_a_port_of_an_app_that_somebody_else_listens_on_is_named(tmp_path: Path) -> None:
    from dataclasses import replace

    known = Assignments({"omnitron-dev": {"web:main.websocket": 3001}}, listening=frozenset({3000, 3001}))
    (line,) = make_plan(loaded(tmp_path, web(dev={})), replace(facts(), assignments=known)).warnings
    assert "cannot start web as long as port 3000 is taken: something on this host listens on it: ss -ltnp" in line


def test_the_gateway_of_each_stack_has_a_port_of_its_own(tmp_path: Path) -> None:
    data = shop({"name": "a"}, gateway={"port": 8000}, stacks={name: {"type": "local"} for name in ("dev", "test")})
    plan = make_plan(loaded(tmp_path, data), facts())
    assert [stack.site and stack.site.port for stack in plan.stacks] == [8000, 8100]
    app = {"name": "a", "transports": {"http": {"port": 8100}}}
    with pytest.raises(DefinitionError, match=r"gateway\.port: cannot give gateway port 8100: a listens on it"):
        make_plan(loaded(tmp_path, {**data, "apps": [{**data["apps"][0], **app}]}), facts())
