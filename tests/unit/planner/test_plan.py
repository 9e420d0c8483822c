"""The units that hold a stack together, its journal and policy, and what a plan warns of and refuses."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omnitron.definition.loader import load
from omnitron.errors import DefinitionError
from omnitron.planner.units.values import Command
from omnitron.policy.codec import marshal
from tests.support.build import HELPERS, bootstrap, facts, loaded, make_plan, planned, shop, units, write

NOBODY = 65534
HTTP = {"transports": {"http": {"port": 1, "socketActivation": True}}}


def refused(folder: Path, data: dict[str, Any], **on: Any) -> list[str]:
    with pytest.raises(DefinitionError) as caught:
        planned(folder, data, facts(**on))
    return [line.replace(f"{folder}/", "") for line in caught.value.lines()]


def test_a_stack_of_one_process_has_three_units_beside_the_watcher(tmp_path: Path) -> None:
    found = units(planned(tmp_path, shop({"name": "a"})))
    assert list(found) == [
        "omnitron-dev.target",
        "omnitron-dev.slice",
        "omnitron-dev-a-main.service",
        "omnitron-watcher.service",
    ]
    assert found["omnitron-dev.slice"].values["wants"] == "omnitron-watcher.service"
    assert found["omnitron-dev.target"].values["wants"] == ("omnitron-dev-a-main.service",)
    assert found["omnitron-dev.target"].values["wanted_by"] == "multi-user.target"


def test_an_app_of_several_processes_has_a_target_and_a_slice(tmp_path: Path) -> None:
    file = bootstrap(tmp_path, {"name": "http", "command": ["x"], **HTTP}, {"name": "worker", "command": ["x"]})
    found = units(planned(tmp_path, shop({"name": "a", "bootstrap": file})))
    wants = found["omnitron-dev-a.target"].values["wants"]
    # A start of an active target that leads to an active one goes no further.
    assert found["omnitron-dev.target"].values["wants"] == ("omnitron-dev-a.target", *wants)
    assert wants == (
        "omnitron-dev-a-http.socket",
        "omnitron-dev-a-http.service",
        "omnitron-dev-a-worker.service",
    )
    assert found["omnitron-dev-a.target"].values["part_of"] == "omnitron-dev.target"
    assert "omnitron-dev-a.slice" in found


def test_the_target_starts_sockets_and_every_instance_but_no_disabled_app(tmp_path: Path) -> None:
    apps = [{"name": "a", "instances": 2, **HTTP}, {"name": "b", "enabled": False}]
    found = units(planned(tmp_path, shop(*apps), facts(scope="user")))
    assert found["omnitron-dev.target"].values["wants"] == (
        "omnitron-dev-a-main.socket",
        "omnitron-dev-a-main@1.service",
        "omnitron-dev-a-main@2.service",
    )
    assert "omnitron-dev-b-main.service" in found
    assert found["omnitron-dev.target"].values["wanted_by"] == "default.target"


def test_an_empty_stack_wants_nothing(tmp_path: Path) -> None:
    found = units(planned(tmp_path, shop()))
    assert found["omnitron-dev.target"].values["wants"] is None


def test_a_critical_process_adds_what_ends_the_stack(tmp_path: Path) -> None:
    found = units(planned(tmp_path, shop({"name": "a"}, {"name": "b", "critical": True})))
    assert found["omnitron-dev-critical-failure.target"].values["conflicts"] == "omnitron-dev.target"
    assert "omnitron-dev-critical-failure.target" not in units(planned(tmp_path, shop({"name": "a"})))


@pytest.mark.parametrize("scope", ["system", "user"])
def test_a_gate_waits_for_every_process(tmp_path: Path, scope: str) -> None:
    file = bootstrap(tmp_path, {"name": "x", "command": ["x"]}, {"name": "y", "command": ["x"], "instances": 2})
    apps = [{"name": "a", "bootstrap": file}, {"name": "b", "dependsOn": ["a"]}]
    found = units(planned(tmp_path, shop(*apps), facts(scope=scope)))
    gate = found["omnitron-dev-a-ready.service"]
    services = ("omnitron-dev-a-x.service", "omnitron-dev-a-y@1.service", "omnitron-dev-a-y@2.service")
    flags = ("--user",) if scope == "user" else ()
    assert gate.values["wants"] == gate.values["after"] == services
    assert gate.values["part_of"] == "omnitron-dev.target"
    assert gate.values["exec_start"] == Command(("/bin/sh", f"{HELPERS}/health_gate.sh", *flags, *services))
    assert "omnitron-dev-b-ready.service" not in found


def test_every_stack_is_planned_or_those_that_were_chosen(tmp_path: Path) -> None:
    stacks = {name: {"type": "local"} for name in ("dev", "test")}
    ecosystem = loaded(tmp_path, shop({"name": "a"}, stacks=stacks))
    assert [stack.names.stack for stack in make_plan(ecosystem, facts()).stacks] == ["dev", "test"]
    assert [stack.names.stack for stack in make_plan(ecosystem, facts(), ["test"]).stacks] == ["test"]


def test_a_plan_is_the_same_each_time(tmp_path: Path) -> None:
    path = write(tmp_path, shop({"name": "a"}, {"name": "b", "dependsOn": ["a"]}))
    assert make_plan(load(path), facts()) == make_plan(load(path), facts())


# Journal


@pytest.mark.parametrize(
    ("logging", "namespace"),
    [
        ({}, None),
        ({"level": "warn"}, None),
        ({"maxSize": "1mb"}, "omnitron-dev"),
        ({"maxFiles": 3}, "omnitron-dev"),
        ({"compress": False}, "omnitron-dev"),
        ({"journal": "namespace"}, "omnitron-dev"),
        ({"journal": "host", "maxSize": "1mb"}, None),
        ({"journal": None}, None),
    ],
)
def test_a_journal_namespace_is_made_for_limits_or_by_name(
    tmp_path: Path, logging: dict[str, Any], namespace: str | None
) -> None:
    plan = planned(tmp_path, shop({"name": "a"}, logging=logging))
    assert units(plan)["omnitron-dev-a-main.service"].values["log_namespace"] == namespace
    assert bool(plan.stacks[0].journal_settings) is bool(namespace)
    assert plan.stacks[0].policy.log_namespace == namespace


def test_the_limits_of_a_namespace(tmp_path: Path) -> None:
    logging = {"maxSize": "2mb", "maxFiles": 3, "compress": False}
    assert planned(tmp_path, shop(logging=logging)).stacks[0].journal_settings == (
        ("SystemMaxFileSize", "2097152"),
        ("SystemMaxFiles", "3"),
        ("SystemMaxUse", "6291456"),
        ("Compress", "no"),
    )


def test_a_user_manager_has_no_namespaces_and_is_told_so(tmp_path: Path) -> None:
    plan = planned(tmp_path, shop({"name": "a"}, logging={"maxFiles": 3}), facts(scope="user"))
    assert units(plan)["omnitron-dev-a-main.service"].values["log_namespace"] is None
    assert plan.stacks[0].journal_settings == ()
    assert plan.warnings == (
        f"{tmp_path}/omnitron.config.yaml: logging: a user's manager has no journal namespaces; "
        "logs go to the user's journal, without limits of their own",
    )


def test_a_folder_to_watch_that_is_not_there_is_named(tmp_path: Path) -> None:
    plan = planned(tmp_path, shop({"name": "a", "watch": "srcc"}))
    (line,) = plan.warnings
    assert line.endswith(f"apps.a.watch: cannot watch {tmp_path}/srcc: no such folder")


# Policy


def test_the_policy_has_all_that_the_runtime_needs(tmp_path: Path) -> None:
    http, worker = {"name": "http", "command": ["x"], **HTTP}, {"name": "worker", "command": ["x"], "instances": 2}
    file = bootstrap(tmp_path, http, worker, shutdown={"timeout": 1, "priority": 7})
    web = {"name": "web", "dependsOn": ["api"], "critical": True, "restartPolicy": {"delay": 0}, "enabled": False}
    supervision = {"strategy": "one_for_all", "maxRestarts": 2, "window": 3}
    plan = planned(tmp_path, shop(web, {"name": "api", "bootstrap": file}, supervision=supervision))

    def restarts(backoff: str, record: str | None) -> dict[str, Any]:
        return {
            "enabled": True,
            "restart": "on-failure",
            "maxRestarts": 2,
            "window": 3,
            "backoff": backoff,
            "record": record,
        }

    own = restarts("exponential:1000:30000:2", "omnitron/omnitron-dev-api-worker@.service.crashes")
    shared = restarts("exponential:1000:30000:2", "omnitron/omnitron-dev.crashes")
    assert json.loads(marshal(plan.stacks[0].policy)) == {
        "version": 2,
        "project": "shop",
        "stack": "dev",
        "type": "local",
        "prefix": "omnitron",
        "source": f"{tmp_path}/omnitron.config.yaml",
        "target": "omnitron-dev.target",
        "slice": "omnitron-dev.slice",
        "criticalTarget": "omnitron-dev-critical-failure.target",
        "logNamespace": None,
        "strategy": "one_for_all",
        "maxRestarts": 2,
        "window": 3,
        "sampleInterval": 5000,
        "retention": 3_600_000,
        "prometheus": None,
        "infra": [],
        "ports": {"api:http.http": 1},
        "redisNumbers": {},
        "maintenance": None,
        "apps": [
            {
                "name": "api",
                "mode": "bootstrap",
                "enabled": True,
                "critical": False,
                "dependsOn": [],
                "priority": 7,
                "target": "omnitron-dev-api.target",
                "gate": "omnitron-dev-api-ready.service",
                "processes": [
                    {
                        "name": "http",
                        "unit": "omnitron-dev-api-http.service",
                        "instances": None,
                        "slice": "omnitron-dev-api.slice",
                        "sockets": ["omnitron-dev-api-http.socket"],
                        "control": None,
                        "port": 1,
                        "critical": False,
                        "stopTimeout": 1,
                        "retries": 0,
                        "scaling": None,
                        "secrets": [],
                        "restarts": shared,
                    },
                    {
                        "name": "worker",
                        "unit": "omnitron-dev-api-worker@.service",
                        "instances": 2,
                        "slice": "omnitron-dev-api.slice",
                        "sockets": [],
                        "control": None,
                        "port": None,
                        "critical": False,
                        "stopTimeout": 1,
                        "retries": 0,
                        "scaling": None,
                        "secrets": [],
                        "restarts": own,
                    },
                ],
                "watch": {
                    "folders": [str(tmp_path)],
                    "ignore": [],
                    "excepted": [f"{tmp_path}/omnitron.config.yaml", file],
                    "debounce": 300,
                    "owner": None,
                },
            },
            {
                "name": "web",
                "mode": "classic",
                "enabled": False,
                "critical": True,
                "dependsOn": ["api"],
                "priority": 0,
                "target": None,
                "gate": None,
                "processes": [
                    {
                        "name": "main",
                        "unit": "omnitron-dev-web-main.service",
                        "instances": None,
                        "slice": "omnitron-dev.slice",
                        "sockets": [],
                        "control": None,
                        "port": None,
                        "critical": True,
                        "stopTimeout": 10000,
                        "retries": 0,
                        "scaling": None,
                        "secrets": [],
                        "restarts": restarts("fixed:0:0:2", "omnitron/omnitron-dev.crashes"),
                    }
                ],
                "watch": {
                    "folders": [str(tmp_path)],
                    "ignore": [],
                    "excepted": [f"{tmp_path}/omnitron.config.yaml"],
                    "debounce": 300,
                    "owner": None,
                },
            },
        ],
    }


def test_each_process_has_a_crash_record_of_its_own(tmp_path: Path) -> None:
    policy = planned(tmp_path, shop({"name": "a"}, unitPrefix="my-p")).stacks[0].policy
    assert policy.apps[0].processes[0].restarts.record == "my_p/my_p-dev-a-main.service.crashes"


# Accounts, names, warnings


def test_root_must_be_named(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("the definition must belong to root")
    data = shop({"name": "a"}, {"name": "b", "user": "root"}, nobody=True)
    assert refused(tmp_path, data) == [
        "omnitron.config.yaml:3: apps.a: cannot choose the user of dev/a:main: the definition belongs to root; "
        "say which, such as user: www-data (or user: root)"
    ]
    assert planned(tmp_path, data, facts(scope="user")).stacks


def test_a_user_must_be_there_where_that_is_known(tmp_path: Path) -> None:
    data = shop({"name": "a", "user": "nosuch"}, {"name": "b", "user": "dynamic"}, {"name": "c", "user": "games"})
    known = frozenset({"root", "games"})
    assert refused(tmp_path, data, accounts=known) == [
        "omnitron.config.yaml:6: apps.a.user: cannot run as 'nosuch': this host has no such user"
    ]
    assert planned(tmp_path, data, facts(accounts=None)).stacks
    assert planned(tmp_path, data, facts(accounts=known, scope="user")).stacks


def test_units_of_one_app_that_would_have_the_same_name(tmp_path: Path) -> None:
    file = bootstrap(tmp_path, {"name": "ready", "command": ["x"]}, {"name": "x", "command": ["x"]})
    app = {"name": "a", "bootstrap": file}
    assert refused(tmp_path, shop(app, {"name": "b", "dependsOn": ["a"]})) == [
        "omnitron.config.yaml:3: apps.a: cannot name its units: omnitron-dev-a-ready.service would be there twice"
    ]
    assert planned(tmp_path, shop(app)).stacks


def test_a_stack_elsewhere_is_warned_about_and_not_planned(tmp_path: Path) -> None:
    stacks = {"dev": {"type": "local"}, "far": {"type": "remote", "nodes": [{"host": "h", "role": "app"}]}}
    plan = planned(tmp_path, shop(stacks=stacks))
    assert [stack.names.stack for stack in plan.stacks] == ["dev"]
    assert plan.warnings == (
        f"{tmp_path}/omnitron.config.yaml:8: stacks.far.nodes: has no effect in this version",
        f"{tmp_path}/omnitron.config.yaml:7: stacks.far.type: has no effect in this version: "
        "no units are made for a remote stack",
    )


@pytest.mark.parametrize(("instances", "activated", "warned"), [(2, False, True), (2, True, False), (1, False, False)])
def test_instances_that_would_fight_for_a_port(tmp_path: Path, instances: int, activated: bool, warned: bool) -> None:
    transports = {"http": {"port": 3000, "socketActivation": activated}}
    plan = planned(tmp_path, shop({"name": "a", "instances": instances, "transports": transports}))
    line = (
        f"{tmp_path}/omnitron.config.yaml: a:main: {instances} instances cannot all listen on port 3000 by themselves; "
        "with socketActivation: true they share one socket"
    )
    assert plan.warnings == ((line,) if warned else ())


def test_a_dependency_that_is_not_enabled_is_told_of(tmp_path: Path) -> None:
    apps = [{"name": "a", "dependsOn": ["b"], "command": ["x"]}, {"name": "b", "enabled": False, "command": ["x"]}]
    (line,) = planned(tmp_path, shop(*apps)).warnings
    assert line.endswith("apps.a.dependsOn.0: b is not enabled, and is started all the same: a needs it")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_folder_that_is_not_watched_for_its_owner_is_told_of(tmp_path: Path, trust: Callable[[Path], None]) -> None:
    path = write(tmp_path, shop({"name": "web", "command": ["x"], "user": "www-data", "watch": "src"}))
    (tmp_path / "src").mkdir()
    os.chown(path, NOBODY, NOBODY)
    os.chown(tmp_path, NOBODY, NOBODY)
    trust(tmp_path)
    os.chown(tmp_path / "src", 0, 0)
    at_home = facts(accounts=frozenset({"www-data"}))

    def advice() -> list[str]:
        return [line for line in make_plan(load(path), at_home).warnings if "cannot watch" in line]

    (line,) = advice()
    assert line.endswith(
        f"cannot watch {tmp_path}/src: a file that defines the app belongs to uid {NOBODY}, the folder does not; "
        f"chown the folder to {NOBODY}, or that file to root"
    )
    os.chown(tmp_path / "src", NOBODY, NOBODY)
    assert advice() == []
