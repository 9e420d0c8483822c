"""Every field that does nothing yet is named when it is set, once, and none when it is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from omnitron.definition.app import Process, System
from omnitron.definition.ecosystem import AppEntry, Stack
from omnitron.definition.fields import HOSTED, LATER, Model
from omnitron.definition.infrastructure import (
    BareMetalService,
    DockerService,
    Infrastructure,
    LegacyDatabase,
    ServiceHealthCheck,
    ServiceRequirement,
)
from omnitron.definition.no_effect import without_effect
from omnitron.definition.problems import _models_in
from tests.support.build import bootstrap, loaded, planned, shop

SETTINGS: dict[str, Any] = {
    "health.interval": 1,
    "health.retries": 1,
    "health.startPeriod": 1,
    "transports.http.cors": False,
    "transports.http.requestTimeout": 1,
    "transports.http.keepAliveTimeout": 1,
    "transports.http.headersTimeout": 1,
    "transports.http.maxRequestSize": 1,
    "transports.http.appVersion": "1",
    "transports.websocket.path": "/",
    "transports.websocket.keepAlive": {},
}
# An example of each, by the model that it is a part of.
MARKED: dict[type[Model], dict[str, Any]] = {
    AppEntry: {**SETTINGS, "shutdown.drainConnections": False},
    ServiceRequirement: {},
    DockerService: {},
    ServiceHealthCheck: {"jsonrpc.auth": {"user": "u", "password": "p"}},
    Stack: {"nodes": []},
    Infrastructure: {"gateway.redisDb": 1, "gateway.customConfig": "x", "gateway.resources": {}, "tor": {}},
    LegacyDatabase: {"migrate": True, "migrationDir": "x"},
    BareMetalService: {
        "installCommand": "x",
        "configFile": "x",
        "configTemplate": "x",
        "dataDir": "x",
        "bindAddress": "x",
        "validateCommand": "x",
    },
    System: {
        "requires.postgres.database": "x",
        "requires.postgres.migrations": "x",
        "requires.redis.db": 1,
        "requires.redis.purpose": [],
        "requires.s3.maxFileSize": "1mb",
        "auth.manager": "m:f",
        "auth.rls": "m:f",
        "auth.invocationWrapper": "m:f",
        "shutdown.drainConnections": True,
        "dev.sourceMaps": True,
        "observability.metrics": True,
        "observability.tracing": True,
        "observability.logging.maxSize": "1mb",
        "observability.logging.maxFiles": 1,
        "observability.logging.compress": True,
    },
    Process: {
        **SETTINGS,
        "auth.manager": "m:f",
        "auth.rls": "m:f",
        "auth.invocationWrapper": "m:f",
        "observability.metrics": True,
    },
}
# Where those that are a part of another are found in a definition.
PLACES: dict[type[Model], str] = {
    Infrastructure: "infrastructure.",
    LegacyDatabase: "infrastructure.postgres.databases.d.",
    BareMetalService: "infrastructure.services.s.bareMetal.",
    ServiceHealthCheck: "infrastructure.services.s.healthCheck.",
}


def marked(model: Any, at: str = "") -> Iterator[str]:
    """The path of each marked field from `model`; not into what is marked as a whole, or has a table of its own."""
    for name, field in model.model_fields.items():
        path = at + (field.alias or name)
        if isinstance(field.json_schema_extra, dict) and {LATER, HOSTED} & set(field.json_schema_extra):
            yield path
        else:
            for inner in _models_in(field.annotation):
                yield from marked(inner, path + ".") if inner not in MARKED else ()


@pytest.mark.parametrize("model", MARKED)
def test_the_table_has_every_marked_field(model: type[Model]) -> None:
    assert set(marked(model)) == set(MARKED[model])


def setting(path: str, value: Any) -> dict[str, Any]:
    """A mapping that sets one field, and what must be beside it."""
    for key in reversed(path.split(".")):
        value = {key: value}
    for service in value.get("infrastructure", {}).get("services", {}).values():
        if "healthCheck" in service:
            service["healthCheck"]["type"] = "tcp"
            service["healthCheck"].get("jsonrpc", {}).update(port=1, method="x")
    for transport in value.get("transports", {}).values():
        transport["port"] = 1
    return value


@pytest.mark.parametrize(("model", "path"), [(model, path) for model, paths in MARKED.items() for path in paths])
def test_what_is_set_and_does_nothing_is_named(tmp_path: Path, model: type[Model], path: str) -> None:
    said = setting(PLACES.get(model, "") + path, MARKED[model][path])
    process = {"name": "b", "command": ["x"]} | (said if model is Process else {})
    if "auth" in process:
        del process["command"]
        process["module"] = "some.module"
    app: dict[str, Any] = {"name": "a"} | (said if model is AppEntry else {})
    if model in (System, Process):
        app["bootstrap"] = bootstrap(tmp_path, process, **(said if model is System else {}))
    stack = {"type": "local"} | (said if model is Stack else {})
    data = shop(app, stacks={"dev": stack}) | (said if "infrastructure" in said else {})
    where = {AppEntry: "apps.a.", Stack: "stacks.dev.", Process: "processes.b.", **PLACES}
    found = without_effect(loaded(tmp_path, data))
    of_modules = path.startswith("auth.") or path in {
        *SETTINGS,
        "shutdown.drainConnections",
        "observability.metrics",
        "observability.tracing",
    }
    needs = "a module or a health probe" if path.startswith("health.") else "a module"
    why = f"has no effect: only processes with {needs} have it" if of_modules else "has no effect in this version"
    # Only a module can say who may call: there it has its effect.
    told = [] if model is Process and path.startswith("auth.") else [(where.get(model, "") + path, why)]
    assert [(problem.path, problem.message) for problem in found] == told


@pytest.mark.parametrize("path", SETTINGS)
def test_what_modules_have_is_not_named_for_a_module(tmp_path: Path, path: str) -> None:
    said = setting(path, SETTINGS[path])
    file = bootstrap(tmp_path, {"name": "b", "module": "some.module", **said}, shutdown={"drainConnections": False})
    assert not without_effect(loaded(tmp_path, shop({"name": "a", "bootstrap": file})))


def test_nothing_is_said_of_what_is_not_set(tmp_path: Path) -> None:
    process = {"name": "b", "command": ["x"], "transports": {"http": {"port": 1}}, "health": {}}
    apps = [{"name": "a", "bootstrap": bootstrap(tmp_path, process)}, {"name": "c"}]
    assert not without_effect(loaded(tmp_path, shop(*apps, stacks={"dev": {"type": "local"}}, logging={})))


def test_an_ecosystem_without_apps_is_warned_about_too(tmp_path: Path) -> None:
    assert [problem.path for problem in without_effect(loaded(tmp_path, shop(infrastructure={"tor": {}})))] == [
        "infrastructure.tor"
    ]


def test_a_plan_says_each_once_in_one_line(tmp_path: Path) -> None:
    """Two apps of one bootstrap in two stacks are one definition."""
    file = bootstrap(tmp_path, {"name": "b", "command": ["x"]}, version="1", requires={"redis": {"db": 1}})
    apps = [{"name": name, "bootstrap": file} for name in ("a", "b")]
    stacks = {name: {"type": "local"} for name in ("dev", "test")}
    assert planned(tmp_path, shop(*apps, infrastructure={"tor": {}}, stacks=stacks)).warnings == (
        f"{file}:9: requires.redis.db: has no effect in this version",
        f"{tmp_path}/omnitron.config.yaml:10: infrastructure.tor: has no effect in this version",
    )
