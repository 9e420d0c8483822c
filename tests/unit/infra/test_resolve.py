"""What apps are told of their services, who runs those, and what cannot be."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from omnitron.definition.loader import load
from omnitron.errors import DefinitionError
from omnitron.planner import questions
from omnitron.planner.facts import Assignments, HostFacts, SecretPlaces
from omnitron.planner.units.values import Command, Literal
from tests.support.build import facts, loaded, make_plan, shop, units, write
from tests.support.needs import infra, plan, problem, stack

DEDICATED = {"dedicated": True}
SERVICE = {"bareMetal": {"systemdUnit": "x.service"}}


def test_an_app_without_needs_is_told_nothing(tmp_path: Path) -> None:
    found = infra(tmp_path, {"database": False, "redis": False})
    assert (found.services, found.environment, found.generated) == ((), {"api": {}}, {})


def test_what_an_app_is_told(tmp_path: Path) -> None:
    found = infra(tmp_path, {"database": True, "redis": {"prefix": "a:"}, "services": {"notifications": True}})
    assert found.environment["api"] == {
        "APP_NAME": "api",
        "STACK_NAME": "dev",
        "JWT_SECRET": "${secret:infra-jwt}",
        "DATABASE_URL": "postgresql://api:${secret:infra-postgres-api|url}@127.0.0.1:5432/api",
        "REDIS_URL": "redis://:${secret:infra-redis|url}@127.0.0.1:6379/0",
        "NOTIFICATIONS_REDIS_URL": "redis://:${secret:infra-redis|url}@127.0.0.1:6379/1",
        "REDIS_PREFIX": "a:",
    }
    assert found.generated == {"infra-jwt": None, "infra-postgres-api": None, "infra-redis": None}


def test_precedence(tmp_path: Path) -> None:
    env = {"REDIS_URL": "own", "DATABASE_URL": "own", "OMNITRON_STACK": "own"}
    stacks = stack(settings={"env": {"DATABASE_URL": "of the stack"}})
    (process,) = (
        plan(tmp_path, {"redis": True, "database": True}, app={"env": env}, stacks=stacks).stacks[0].apps["api"]
    )
    merged = dict(process.environment)
    assert merged["REDIS_URL"].startswith("redis://:")
    assert merged["DATABASE_URL"] == "of the stack"
    assert merged["OMNITRON_STACK"] == "dev"


def test_an_external_server_is_told_of_and_not_run(tmp_path: Path) -> None:
    external = {"host": "db.example", "ports": {"main": 6000}, "secrets": {"user": "u", "password": {"secret": "pw"}}}
    on = replace(facts(), programs=frozenset())
    made = plan(tmp_path, {"database": True}, on, stacks=stack(serviceOverrides={"postgres": {"external": external}}))
    found = made.stacks[0].infra
    assert found.environment["api"]["DATABASE_URL"] == "postgresql://u:${secret:pw|url}@db.example:6000/api"
    assert "pw" not in found.generated
    assert not [name for name in units(made) if "-infra-" in name]


def test_a_password_in_the_definition_becomes_a_secret(tmp_path: Path) -> None:
    postgres = {"databases": {"api": {"user": "clerk", "password": "plain"}}}
    made = plan(tmp_path, {"database": True}, infrastructure={"postgres": postgres})
    found = made.stacks[0].infra
    assert found.environment["api"]["DATABASE_URL"].startswith("postgresql://clerk:${secret:infra-postgres-clerk|url}@")
    assert found.generated["infra-postgres-clerk"] == "plain"
    assert "plain" not in str([unit.values for unit in made.stacks[0].units]) + str(made.stacks[0].policy)


def test_a_service_that_is_disabled_is_not_there(tmp_path: Path) -> None:
    found = infra(tmp_path, {"redis": True}, stacks=stack(serviceOverrides={"redis": {"disabled": True}}))
    assert found.services == () and "REDIS_URL" not in found.environment["api"]


def test_a_server_of_its_own(tmp_path: Path) -> None:
    found = infra(tmp_path, {"redis": DEDICATED}, stacks=stack(settings={"redisDbOffset": 5}))
    assert [(one.name, one.port) for one in found.services] == [("api-redis", 6380)]
    assert found.environment["api"]["REDIS_URL"].endswith("@127.0.0.1:6380/0")


def test_a_unit_of_the_host(tmp_path: Path) -> None:
    search = {
        "bareMetal": {"systemdUnit": "search.service"},
        "ports": {"http": 9200},
        "env": {"SEARCH": "http://${host}:${port:http}"},
    }
    made = plan(tmp_path, {"infrastructure": {"search": search}})
    assert made.stacks[0].infra.environment["api"]["SEARCH"] == "http://127.0.0.1:9200"
    gate = units(made)["omnitron-dev-infra-api_search-ready.service"].values
    assert gate["wants"] == gate["after"] == ("search.service",)
    assert "omnitron-dev-infra-api_search-ready.service" in str(
        units(made)["omnitron-dev-api-p.service"].values["requires"]
    )


def test_who_runs_it_and_why(tmp_path: Path) -> None:
    on = replace(facts(), programs=frozenset({"postgres"}))
    (server,) = infra(tmp_path, {"database": True}, on).services
    assert (server.provider.name, server.provider.why) == ("native", "the host has postgres")


@pytest.mark.parametrize(
    ("needs", "more", "said"),
    [
        (
            {"database": True},
            {},
            "omnitron.database: cannot run postgres: this host has no postgres (apt install postg",
        ),
        ({"redis": True}, {}, "omnitron.redis: cannot run redis: this host has no redis-server (apt install redis-ser"),
        (
            {"s3": True},
            {},
            "omnitron.s3: cannot run minio: no Debian package has a server for minio, and this host has",
        ),
        (
            {"infrastructure": {"x": {}}},
            {},
            "omnitron.infrastructure.x: cannot run api-x: nothing is said of how (give",
        ),
    ],
)
def test_nothing_can_run_it(tmp_path: Path, needs: dict[str, Any], more: dict[str, Any], said: str) -> None:
    assert said in problem(tmp_path, needs, replace(facts(), programs=frozenset()), **more)


@pytest.mark.parametrize(
    ("needs", "more", "said"),
    [
        ({"database": {"dialect": "mysql"}}, {}, "omnitron.database.dialect: cannot provide a mysql database"),
        (
            {"database": True},
            {"infrastructure": {"postgres": {"databases": {"api": {"user": "postgres"}}}}},
            "cannot make the database api: its owner would be postgres, the server's own superuser",
        ),
        (
            {"redis": True},
            {"infrastructure": {"redis": {"config": {"databases": 4}}}, "stacks": stack(settings={"redisDbOffset": 4})},
            "cannot use Redis database 4: redis has 4, numbered from 0 (lower stacks.*.settings.redisDbOffset",
        ),
        (
            {"redis": True},
            {"infrastructure": {"redis": {"config": {"requirepass": "x"}}}},
            "infrastructure.redis.config.requirepass: cannot set requirepass: omnitron sets it itself",
        ),
        (
            {"database": True},
            {"infrastructure": {"postgres": {"config": {"x\n": 1}}}},
            "cannot set 'x\\n': that is no name of a setting",
        ),
        (
            {"database": True},
            {"infrastructure": {"postgres": {"config": {"workMem": "1\nport = 1"}}}},
            "cannot set work_mem: its value is no number and no line of text",
        ),
        (
            {"infrastructure": {"x": {"bareMetal": {"systemdUnit": "a b\n[Service]"}}}},
            {},
            "cannot use 'a b\\n[Service]': it is no name of a service",
        ),
        (
            {"infrastructure": {"x": {"bareMetal": {"systemdUnit": "a.service"}, "env": {"A": "${port:no}"}}}},
            {},
            "omnitron.infrastructure.x.env.A: cannot fill in A: it has no port 'no'",
        ),
    ],
)
def test_what_cannot_be(tmp_path: Path, needs: dict[str, Any], more: dict[str, Any], said: str) -> None:
    assert said in problem(tmp_path, needs, **more)


def test_what_the_server_itself_refuses_is_named_where_it_is_said(tmp_path: Path) -> None:
    more = {"infrastructure": {"postgres": {"config": {"logStatement": "all", "workMem": "8MBB"}}}}
    ecosystem = plan(tmp_path, {"database": True}, **more).ecosystem
    (settings,) = questions.of_host(ecosystem, facts(), installs=True).settings
    assert settings[0] == "postgres" and dict(settings[1])["shared_buffers"] == "256MB"
    on = replace(facts(), refusals={settings: 'invalid value for parameter "work_mem": "8MBB"'})
    said = problem(tmp_path, {"database": True}, on, **more)
    assert "infrastructure.postgres.config.workMem: cannot run postgres with this: invalid value for parameter" in said


def test_a_missing_secret_is_named_where_it_is_used(tmp_path: Path) -> None:
    on = replace(facts(), secrets=SecretPlaces(names={"omnitron-dev": frozenset({"there"})}))
    env = {"A": "${secret:there}", "B": "x${secret:gone}"}
    said = problem(tmp_path, {"database": True}, on, app={"env": env})
    assert said.count("\n") == 0
    assert "apps.api.env.B: cannot use the secret 'gone': the stack dev has none (omnitron secret set gone" in said


def test_a_password_that_is_referred_to_must_be_there(tmp_path: Path) -> None:
    on = replace(facts(), secrets=SecretPlaces(names={"omnitron-dev": frozenset()}))
    postgres = {"databases": {"api": {"password": {"secret": "pw"}}}}
    assert "cannot use the secret 'pw'" in problem(
        tmp_path, {"database": True}, on, infrastructure={"postgres": postgres}
    )


def test_an_app_may_not_have_the_name_of_a_server(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="cannot use the name 'infra-db'"):
        loaded(tmp_path, shop({"name": "infra-db"}))


def test_a_container_is_described_for_the_engine(tmp_path: Path) -> None:
    files = {
        "ports": {"http": 80},
        "secrets": {"key": {"secret": "k"}},
        "resources": {"memory": "64mb", "cpus": 0.5},
        "docker": {
            "image": "files:1",
            "portMappings": {"80": 8080, "53/udp": 5353},
            "environment": {"KEY": "${secret:key}"},
            "volumes": ["data:/data", "./conf:/etc/x:ro", "/srv:/srv"],
            "healthCheck": {"test": "true", "interval": "2s"},
            "labels": {"team": "a"},
        },
    }
    made = plan(tmp_path, {"infrastructure": {"files": files}}, stacks=stack(settings={"containerPrefix": "mine"}))
    (process,) = made.stacks[0].apps["infra-api-files"]
    told = json.loads(process.spec.text if process.spec else "")
    assert (told["name"], told["network"], told["slice"]) == ("mine-api-files", "mine_default", "omnitron-dev.slice")
    assert told["ports"] == {"80/tcp": [["127.0.0.1", 8080]], "53/udp": [["127.0.0.1", 5353]]}
    assert told["environment"] == {"KEY": "${secret:k}"} and process.secrets == ("k",)
    assert [(one["source"], one["target"], one["mode"]) for one in told["volumes"]] == [
        ("mine-api-files-data", "/data", "rw"),
        (f"{tmp_path}/conf", "/etc/x", "ro"),
        ("/srv", "/srv", "rw"),
    ]
    assert told["health"]["test"] == ["CMD-SHELL", "true"] and told["health"]["interval"] == 2_000_000_000
    assert (told["memory"], told["nanoCpus"]) == (64 << 20, 500_000_000)
    assert told["labels"]["team"] == "a" and told["labels"]["omnitron.managed"] == "true"
    assert (process.user, process.restarts.restart) == ("root", "always")


def test_the_systems_manager_hands_certificates_on(tmp_path: Path) -> None:
    tls = {"certificate": "/etc/hosts", "key": "/etc/passwd"}

    def unit(on: HostFacts) -> dict[str, Any]:
        return dict(
            units(make_plan(load(tmp_path / "omnitron.config.yaml"), on))["omnitron-dev-gateway.service"].values
        )

    write(tmp_path, shop({"name": "a"}, gateway={"tls": tls}))
    assert unit(facts(accounts=frozenset({"www-data"})))["load_credential"] == (
        Literal("tls-certificate:/etc/hosts"),
        Literal("tls-key:/etc/passwd"),
    )
    assert unit(facts(scope="user"))["load_credential"] is None


@pytest.mark.parametrize(
    "env", [{"LD_PRELOAD=/x.so:\n": "v"}, {"A B": "v"}, {"A": "${secret:x|upper}"}, {"A": "${secret:"}]
)
def test_what_is_no_variable_is_refused(tmp_path: Path, env: dict[str, str]) -> None:
    service = {"bareMetal": {"systemdUnit": "cron.service"}, "env": env}
    assert "omnitron.infrastructure.x.env" in problem(tmp_path, {"infrastructure": {"x": service}})


def test_who_has_a_database_number_keeps_it(tmp_path: Path) -> None:
    before = {"omnitron-dev": {"api/redis": 3, "gateway/maintenance": 1}}
    on = replace(facts(), assignments=Assignments(numbers=before))
    found = infra(tmp_path, {"redis": True, "services": {"discovery": True}}, on, gateway={"port": 9})
    assert found.numbers == {("api", "redis"): 3, ("api", "discovery"): 0, ("gateway", "maintenance"): 1}


def test_who_has_a_server_of_its_own_keeps_its_port(tmp_path: Path) -> None:
    on = replace(
        facts(), assignments=Assignments({"omnitron-dev": {"api-redis.main": 6381}}, listening=frozenset({6381}))
    )
    found = infra(tmp_path, {"redis": DEDICATED, "database": DEDICATED}, on)
    assert {one.name: one.port for one in found.services} == {"api-redis": 6381, "api-postgres": 5433}


def test_a_role_has_one_password(tmp_path: Path) -> None:
    def postgres(*passwords: str) -> dict[str, Any]:
        databases = {f"d{number}": {"user": "svc", "password": one} for number, one in enumerate(passwords)}
        return {"postgres": {"databases": databases}}

    found = infra(tmp_path, {"database": True}, infrastructure=postgres("a", "a"))
    assert {one.credential for one in found.databases["postgres"]} == {"infra-postgres-api", "infra-postgres-svc"}
    assert "cannot give svc two passwords" in problem(tmp_path, {"database": True}, infrastructure=postgres("a", "b"))


@pytest.mark.parametrize(
    ("services", "said"),
    [
        ({"a-b": SERVICE, "a_b": SERVICE}, "a_b: cannot name its units: they would be those of a-b"),
        ({"a": {**SERVICE, "dependsOn": ["no"]}}, "cannot depend on 'no': there is no such service"),
        ({"a": {**SERVICE, "dependsOn": ["b"]}, "b": {**SERVICE, "dependsOn": ["a"]}}, "a → b → a is a loop"),
        ({"a": {**SERVICE, "resources": {"cpus": "two"}}}, "resources.cpus"),
        ({"a": {**SERVICE, "resources": {"cpus": "inf"}}}, "resources.cpus"),
    ],
)
def test_services_that_do_not_fit(tmp_path: Path, services: dict[str, Any], said: str) -> None:
    assert said in problem(tmp_path, {}, infrastructure={"services": services})


@pytest.mark.parametrize("host", ["::1%x]:80; } evil { listen [::1", "localhost", "10.0.0.0/8"])
def test_an_address_is_one(tmp_path: Path, host: str) -> None:
    assert "gateway.host: cannot listen on" in problem(tmp_path, {}, gateway={"host": host})


def test_maintenance_beyond_the_last_database_is_refused(tmp_path: Path) -> None:
    stacks = {"prod": {"type": "local"}}
    redis = {"services": {"redis": {"preset": "redis", "config": {"databases": 16}}}}
    said = problem(tmp_path, {"redis": True}, stacks=stacks, infrastructure=redis, gateway={})
    assert "cannot keep maintenance mode in Redis database 16: redis has 16, from 0" in said


def test_a_unit_of_the_host_is_asked_too(tmp_path: Path) -> None:
    check = {"type": "http", "target": "/up", "timeout": "1s"}
    services = {"x": {"bareMetal": {"systemdUnit": "x.service"}, "ports": {"http": 80}, "healthCheck": check}}
    made = plan(tmp_path, {}, infrastructure={"services": services})
    asked = units(made)["omnitron-dev-infra-x-ready.service"].values["exec_start_post"]
    assert isinstance(asked, Command) and asked.words[-2:] == ("--http", "http://127.0.0.1:80/up")
