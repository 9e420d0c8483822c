"""The known servers in containers, the variants of a service, and the older way to say what an app needs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from omnitron.errors import DefinitionError
from omnitron.planner.facts import Assignments, SecretPlaces
from tests.support.build import bootstrap, facts, loaded, make_plan, shop, units
from tests.support.needs import infra, plan, problem, stack

ENGINE = replace(facts(), programs=frozenset({"docker"}))


def recipe(folder: Path, kind: str, needs: dict[str, Any], **service: Any) -> dict[str, Any]:
    """What the engine is asked for, of the one known server of a stack."""
    services = {kind: {"preset": kind, **service}}
    made = plan(folder, needs, ENGINE, infrastructure={"services": services})
    (process,) = made.stacks[0].apps[f"infra-{kind}"]
    told: dict[str, Any] = json.loads(process.spec.text if process.spec else "")
    return told


@pytest.mark.parametrize(
    ("needs", "why"),
    [
        ({"database": True}, "the host has no postgres, but a container engine"),
        ({"redis": True}, "the host has no redis-server, but a container engine"),
        ({"s3": True}, "no Debian package has a server for minio, but a container engine"),
    ],
)
def test_what_the_host_does_not_have_is_a_container(tmp_path: Path, needs: dict[str, Any], why: str) -> None:
    (server,) = infra(tmp_path, needs, ENGINE).services
    assert (server.provider.name, server.provider.why) == ("docker", why)


def test_postgres_in_a_container(tmp_path: Path) -> None:
    needs = {"database": {"extensions": ["citext"]}}
    told = recipe(tmp_path, "postgres", needs, config={"workMem": "8MB"}, ports={"main": 15432}, version="16")
    assert told["image"] == "postgres:16-alpine"
    assert told["ports"] == {"5432/tcp": [["127.0.0.1", 15432]]}
    assert told["environment"]["POSTGRES_PASSWORD"] == "${secret:infra-postgres}"
    assert "max_connections=200" in told["command"] and "work_mem=8MB" in told["command"]
    assert told["databases"] == [
        {"name": "api", "owner": "api", "credential": "infra-postgres-api", "extensions": ["citext"]}
    ]


def test_redis_in_a_container_has_as_many_databases_as_are_used(tmp_path: Path) -> None:
    needs = {"redis": True, "services": {"discovery": True}}
    made = plan(tmp_path, needs, ENGINE, stacks=stack(settings={"redisDbOffset": 30}))
    (process,) = made.stacks[0].apps["infra-redis"]
    told = json.loads(process.spec.text if process.spec else "")
    assert 'databases "32"' in told["environment"]["REDIS_SETTINGS"].splitlines()
    assert process.secrets == ("infra-redis",)
    assert made.stacks[0].infra.environment["api"]["REDIS_URL"].startswith("redis://:${secret:infra-redis|url}@")


def test_minio_in_a_container(tmp_path: Path) -> None:
    needs = {"s3": {"bucket": "pictures", "quota": "1gb"}}
    told = recipe(tmp_path, "minio", needs, docker={"environment": {"MINIO_REGION": "eu"}, "image": "own:1"})
    assert told["image"] == "own:1"
    assert set(told["environment"]) == {"MINIO_REGION", "MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"}
    assert told["ports"] == {"9000/tcp": [["127.0.0.1", 9000]], "9001/tcp": [["127.0.0.1", 9001]]}
    assert told["buckets"] == [{"name": "pictures", "quota": 1024**3}]


def test_buckets_of_the_older_form_are_made_too(tmp_path: Path) -> None:
    found = infra(tmp_path, {"s3": True}, ENGINE, infrastructure={"minio": {"buckets": ["api", "more"]}})
    assert [bucket.name for bucket in found.buckets["minio"]] == ["api", "more"]


def test_a_name_that_no_bucket_can_have(tmp_path: Path) -> None:
    said = problem(tmp_path, {"s3": {"bucket": "Big_One"}}, ENGINE)
    assert "omnitron.s3: cannot make the bucket 'Big_One': a name has 3 to 63 of a-z, 0-9, . and -" in said


def test_an_image_means_nothing_where_the_host_has_the_server(tmp_path: Path) -> None:
    services = {"redis": {"preset": "redis", "image": "redis:6"}}
    found = infra(tmp_path, {"redis": True}, infrastructure={"services": services})
    assert [(one.path, one.message) for one in found.warnings] == [
        ("infrastructure.services.redis.image", "has no effect: it is native here")
    ]


@pytest.mark.parametrize(
    ("said", "without_effect"),
    [
        ({"image": "own:1"}, {}),
        ({"version": "7.2"}, {}),
        ({"docker": {"image": "own:1"}}, {}),
        ({"image": "own:1", "version": "7.2"}, {"version": "image"}),
        ({"docker": {"image": "own:1"}, "version": "7.2"}, {"version": "docker.image"}),
        (
            {"docker": {"image": "own:1"}, "image": "b:1", "version": "7"},
            dict.fromkeys(("image", "version"), "docker.image"),
        ),
    ],
)
def test_one_way_to_say_which_image_it_is(tmp_path: Path, said: dict[str, Any], without_effect: dict[str, str]) -> None:
    services = {"redis": {"preset": "redis", **said}}
    found = infra(tmp_path, {"redis": True}, ENGINE, infrastructure={"services": services})
    assert {one.path: one.message for one in found.warnings} == {
        f"infrastructure.services.redis.{name}": f"has no effect: {by} says which one it is"
        for name, by in without_effect.items()
    }


def test_the_network_mode_selects_a_variant(tmp_path: Path) -> None:
    node = {
        "networkMode": "testnet",
        "docker": {
            "image": "node:1",
            "environment": {"A": "1", "B": "1"},
            "variants": {"testnet": {"environment": {"B": "2"}, "command": ["node", "--test"]}},
        },
    }
    override = {"api/node": {"docker": {"environment": {"A": "3"}}}}
    made = plan(tmp_path, {"infrastructure": {"node": node}}, ENGINE, stacks=stack(serviceOverrides=override))
    (process,) = made.stacks[0].apps["infra-api-node"]
    told = json.loads(process.spec.text if process.spec else "")
    assert (told["image"], told["command"]) == ("node:1", ["node", "--test"])
    assert told["environment"] == {"A": "3", "B": "2"}


def test_a_variant_that_is_not_there(tmp_path: Path) -> None:
    node = {"networkMode": "tesnet", "docker": {"image": "x", "variants": {"testnet": {}}}}
    said = problem(tmp_path, {"infrastructure": {"node": node}}, ENGINE)
    assert "infrastructure.node.networkMode: cannot select the variant 'tesnet': there is testnet" in said


def test_apps_start_without_it_where_the_stack_says_so(tmp_path: Path) -> None:
    made = plan(tmp_path, {"redis": True}, stacks=stack(settings={"allowDegradedInfra": True}))
    values = units(made)["omnitron-dev-api-p.service"].values
    assert "infra" not in str(values.get("requires"))
    assert "omnitron-dev-infra-redis.service" in str(values["after"])


def test_what_the_older_requires_says(tmp_path: Path) -> None:
    requires = {
        "postgres": {"pool": 7, "extensions": ["citext"]},
        "redis": {"prefix": "p:"},
        "discovery": True,
        "custom": {"search": {"image": "search:1", "port": 9200, "env": {"A": "1"}}},
    }
    file = bootstrap(tmp_path, {"name": "p", "command": ["x"]}, requires=requires)
    on = replace(facts(), programs=frozenset({"postgres", "redis-server", "docker"}))
    found = make_plan(loaded(tmp_path, shop({"name": "api", "bootstrap": file})), on).stacks[0].infra
    told = found.environment["api"]
    assert (told["DATABASE_POOL_MAX"], told["REDIS_PREFIX"]) == ("7", "p:")
    assert {"DATABASE_URL", "REDIS_URL", "DISCOVERY_REDIS_URL"} <= set(told)
    assert found.databases["postgres"][0].extensions == ("citext",)
    assert {one.name: one.provider.name for one in found.services}["api-search"] == "docker"


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ({"type": "jsonrpc"}, "healthCheck: cannot ask by JSON-RPC: jsonrpc {port, method} is missing"),
        ({"type": "jsonrpc", "jsonrpc": {"port": "no", "method": "m"}}, "cannot ask port 'no': there is rpc"),
        ({"type": "jsonrpc", "jsonrpc": {"port": "rpc", "method": "a b"}}, "a method is one word"),
        ({"type": "jsonrpc", "jsonrpc": {"port": "rpc", "method": "m", "path": "x"}}, "a path begins with /"),
    ],
)
def test_what_cannot_be_asked_by_jsonrpc(tmp_path: Path, check: dict[str, Any], said: str) -> None:
    node = {"ports": {"rpc": 18081}, "docker": {"image": "x"}, "healthCheck": check}
    assert said in problem(tmp_path, {"infrastructure": {"node": node}}, ENGINE)


def test_a_check_by_jsonrpc(tmp_path: Path) -> None:
    check = {"type": "jsonrpc", "jsonrpc": {"port": "rpc", "method": "get_info"}, "startPeriod": "5s"}
    node = {"ports": {"rpc": 18081}, "docker": {"image": "x"}, "healthCheck": check}
    (process,) = plan(tmp_path, {"infrastructure": {"node": node}}, ENGINE).stacks[0].apps["infra-api-node"]
    assert process.probe
    assert (process.probe.kind, process.probe.argv) == ("jsonrpc", ("get_info http://127.0.0.1:18081/json_rpc",))
    assert process.probe.start_period == 5_000


def test_a_secret_of_a_container_must_be_there(tmp_path: Path) -> None:
    on = replace(ENGINE, secrets=SecretPlaces(names={"omnitron-dev": frozenset()}))
    node = {"docker": {"image": "x", "environment": {"KEY": "${secret:node-key}"}}}
    assert "docker.environment.KEY: cannot use the secret 'node-key'" in problem(
        tmp_path, {"infrastructure": {"node": node}}, on
    )


def test_the_gateway_is_a_container_where_the_host_has_no_nginx(tmp_path: Path) -> None:
    app = {"name": "web", "command": ["x"], "transports": {"http": {"port": 3000}}}
    data = shop(app, gateway={"port": 9000, "tls": {"certificate": "/c.pem", "key": "/k.pem"}})
    made = make_plan(loaded(tmp_path, data), ENGINE)
    (process,) = made.stacks[0].apps["gateway"]
    told = json.loads(process.spec.text if process.spec else "")
    assert (told["image"], told["network"]) == ("openresty/openresty:alpine", "host")
    each = {one["name"]: one for one in told["files"]["each"]}
    assert each["tls.key"]["isPrivate"] and not told["volumes"][1:]
    assert made.stacks[0].site and made.stacks[0].site.provider.why == "the host has no nginx, but a container engine"


@pytest.mark.parametrize(
    ("gateway", "on", "provider"),
    [
        ({}, replace(facts(), programs=frozenset({"nginx", "docker"})), "native"),
        ({"image": "own:1"}, replace(facts(), programs=frozenset({"nginx", "docker"})), "docker"),
        ({}, facts(), "native"),
    ],
)
def test_who_runs_the_gateway(tmp_path: Path, gateway: dict[str, Any], on: Any, provider: str) -> None:
    site = make_plan(loaded(tmp_path, shop({"name": "a"}, gateway=gateway)), on).stacks[0].site
    assert site and site.provider.name == provider


def test_the_gateway_in_the_older_form(tmp_path: Path) -> None:
    (tmp_path / "infra/nginx").mkdir(parents=True)
    data = shop({"name": "a"}, infrastructure={"gateway": {"port": 8090}})
    site = make_plan(loaded(tmp_path, data), facts()).stacks[0].site
    assert site and (site.port, site.folder) == (8090, tmp_path / "infra/nginx")


def test_the_preset_of_a_gateway_says_where_it_belongs(tmp_path: Path) -> None:
    services = {"edge": {"preset": "openresty"}}
    said = problem(tmp_path, {}, ENGINE, infrastructure={"services": services})
    assert "cannot run edge: it is the gateway of every stack (say gateway: {port: 8080} instead" in said


@pytest.mark.parametrize(
    ("kind", "needs", "service", "said"),
    [
        ("redis", {"redis": True}, {"config": {"requirepass": "x"}}, "cannot set requirepass: omnitron sets it itself"),
        ("redis", {"redis": True}, {"config": {"maxmemory": "1gb\nx y"}}, "its value is no number and no line of text"),
        ("redis", {"redis": True}, {"config": {"masterauth": "${secret:x}"}}, "a setting is no place for a secret"),
        ("postgres", {"database": True}, {"config": {"data-directory": "/x"}}, "cannot set data_directory: omnitron"),
        ("minio", {"s3": True}, {"config": {"region": "eu"}}, "MinIO has its settings in its environment"),
        ("minio", {"s3": True}, {"secrets": {"secretKey": "short"}}, "cannot use this secretKey: it has at least 8"),
    ],
)
def test_what_a_server_in_a_container_is_not_told(
    tmp_path: Path, kind: str, needs: dict[str, Any], service: dict[str, Any], said: str
) -> None:
    services = {kind: {"preset": kind, **service}}
    assert said in problem(tmp_path, needs, ENGINE, infrastructure={"services": services})


def test_buckets_are_named_as_a_server_can(tmp_path: Path) -> None:
    said = problem(tmp_path, {"s3": True}, ENGINE, infrastructure={"minio": {"buckets": ["../x"]}})
    assert "infrastructure.minio: cannot make the bucket '../x'" in said


def test_data_keeps_its_volume_whatever_else_is_mounted(tmp_path: Path) -> None:
    def mounts(*volumes: str) -> list[str]:
        told = recipe(tmp_path, "postgres", {"database": True}, docker={"volumes": list(volumes)})
        return [f"{one['source']}:{one['target']}" for one in told["volumes"]]

    data = "shop-dev-postgres-data:/var/lib/postgresql/data"
    assert mounts("/init:/docker-entrypoint-initdb.d:ro") == [data, "/init:/docker-entrypoint-initdb.d"]
    assert mounts("/mine:/var/lib/postgresql/data/") == ["/mine:/var/lib/postgresql/data/"]


def test_every_name_of_a_port_is_published(tmp_path: Path) -> None:
    told = recipe(tmp_path, "postgres", {"database": True}, ports={"main": 5432, "admin": 5499})
    assert told["ports"] == {"5432/tcp": [["127.0.0.1", 5432], ["127.0.0.1", 5499]]}


def test_who_has_the_data_stays_who_runs_it(tmp_path: Path) -> None:
    def provider(before: str, *programs: str) -> tuple[str, str]:
        known = Assignments(providers={"omnitron-dev": {"postgres": before}})
        on = replace(facts(), programs=frozenset(programs), assignments=known)
        (server,) = infra(tmp_path, {"database": True}, on).services
        return server.provider.name, server.provider.why

    assert provider("docker", "docker", "postgres") == ("docker", "its data is in a container already")
    assert provider("native", "docker", "postgres")[0] == "native"
    assert provider("docker", "postgres")[0] == "native"
    on = replace(ENGINE, assignments=Assignments(providers={"omnitron-dev": {"postgres": "native"}}))
    said = problem(tmp_path, {"database": True}, on)
    assert "cannot run postgres: this host has no postgres any more, which has its data (apt install postgresql" in said


def test_two_passwords_do_not_share_a_secret(tmp_path: Path) -> None:
    services = {"postgres": {"preset": "postgres"}, "postgres-api": {"preset": "postgres"}}
    said = problem(tmp_path, {"database": True}, ENGINE, infrastructure={"services": services})
    assert "the secret infra-postgres-api would be that of" in said


def test_a_service_cannot_have_the_container_of_the_gateway(tmp_path: Path) -> None:
    services = {"gateway": {"docker": {"image": "x"}}}
    said = problem(tmp_path, {}, ENGINE, infrastructure={"services": services}, gateway={"image": "x"})
    assert "infrastructure.services.gateway: cannot name its container: it would be that of the gateway" in said


@pytest.mark.parametrize("port", [80, 8080])
def test_a_gateway_is_root_in_its_container_for_a_low_port_alone(tmp_path: Path, port: int) -> None:
    (tmp_path / "nginx/http").mkdir(parents=True)
    (tmp_path / "nginx/http/own.conf").write_text("")
    data = shop({"name": "a"}, gateway={"port": port, "configDir": "nginx"})
    on = replace(ENGINE, accounts=frozenset({"www-data"}))
    (process,) = make_plan(loaded(tmp_path, data), on).stacks[0].apps["gateway"]
    told = json.loads(process.spec.text if process.spec else "")
    assert told.get("user") == (None if port == 80 else "65534:65534")
    assert told["capabilities"] == (["CHOWN", "NET_BIND_SERVICE", "SETGID", "SETUID"] if port == 80 else [])


def test_apps_are_moved_to_ports_that_there_are(tmp_path: Path) -> None:
    stacks = stack(settings={"portOffsets": {"apps": 20000}})
    app = {"name": "web", "command": ["x"], "transports": {"http": {"port": 50000}}}
    with pytest.raises(DefinitionError, match="cannot listen on port 70000, the stack's offset included"):
        make_plan(loaded(tmp_path, shop(app, stacks=stacks)), facts())
    app["transports"]["http"]["port"] = 3000
    (line,) = make_plan(loaded(tmp_path, shop(app, stacks=stacks)), facts()).warnings
    assert "web:main opens its port itself: it has to be told" in line and "23000" in line


def test_who_takes_a_service_for_an_app_is_told(tmp_path: Path) -> None:
    services = {"db": {"preset": "postgres"}}
    said = problem(tmp_path, {}, app={"dependsOn": ["db"]}, infrastructure={"services": services})
    assert "cannot depend on 'db': there is no such app (it is a service: an app waits for those that it needs" in said
