from __future__ import annotations

import json
import typing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from omnitron.host.spec import VERSION, Health, Hooks, Http, Jwt, Route, Source, Spec, SpecError, WebSocket, read
from omnitron.planner.resolve import host_spec
from tests.support import build

LEAST: dict[str, Any] = {
    "version": VERSION,
    "project": "shop",
    "stack": "dev",
    "app": "app",
    "process": "api",
    "folder": "/srv",
    "folders": ["/srv"],
    "module": "api.py",
}

MODULE = "from omnitron import service\n@service('{}')\nclass It: ...\n"

API: dict[str, Any] = {
    "name": "api",
    "module": "./api.py",
    "user": "api",
    "startupTimeout": "45s",
    "health": {"enabled": True, "interval": "5s", "timeout": "2s", "retries": 7},
    "transports": {
        "http": {
            "port": 8080,
            "host": "127.0.0.1",
            "socketActivation": True,
            "cors": {"origin": ["https://shop.example"]},
            "requestTimeout": "20s",
            "keepAliveTimeout": "10s",
            "headersTimeout": "5s",
            "maxRequestSize": "1MB",
            "appVersion": "1.2.3",
        },
        "websocket": {
            "port": 8081,
            "host": "::1",
            "path": "/feed",
            "keepAlive": {"interval": "7s", "timeout": "3s"},
        },
    },
    "topology": {"expose": True, "access": ["Prices"]},
    "auth": {
        "jwt": {
            "enabled": True,
            "tokenCacheTtl": 12.5,
            "keyFile": "jwt.pem",
            "algorithm": "ES256",
            "issuer": "me",
            "audience": "you",
            "rolesClaim": "groups",
        }
    },
    "customRoutes": [{"method": "GET", "pattern": "/x/{id:int}", "handler": "api.py:show"}],
    "hooks": {"beforeStart": "api.py:own", "onHealthCheck": "api.py:check"},
    "observability": {"metrics": False, "logging": {"level": "debug"}},
}

PRICES: dict[str, Any] = {
    "name": "prices",
    "module": "prices.py",
    "user": "prices",
    "topology": {"expose": True, "access": ["Api"]},
}

SYSTEM: dict[str, Any] = {
    "version": "4.5.6",
    "hooks": {"beforeCreate": "api.py:app", "beforeStart": "api.py:app", "afterStop": "api.py:app"},
    "shutdown": {"timeout": "25s", "drainConnections": False},
    "config": {
        "sources": [
            "settings.toml",
            "env",
            {"type": "file", "path": "more.yaml", "optional": True},
            {"type": "env", "prefix": "SHOP_"},
        ],
        "envPrefix": "SHOP",
    },
}


def planned_texts(folder: Path, system: dict[str, Any], *processes: dict[str, Any]) -> dict[str, str]:
    """The files that are planned for the processes of an app, by their names."""
    for name in ("Api", "Prices"):
        (folder / f"{name.lower()}.py").write_text(MODULE.format(name))
    (folder / "jwt.pem").write_text("x" * 40)
    app = {"name": "app", "bootstrap": build.bootstrap(folder, *processes, **system)}
    plan = build.planned(folder, build.shop(app))
    return {one.name: one.hosted.spec for one in plan.stacks[0].apps["app"] if one.hosted}


def understood(folder: Path, text: str) -> Spec:
    path = folder / "spec.json"
    path.write_text(text)
    return read(path)


@pytest.fixture
def all_said(tmp_path: Path) -> dict[str, str]:
    return planned_texts(tmp_path, SYSTEM, API, PRICES)


def test_all_that_a_definition_says_is_understood(tmp_path: Path, all_said: dict[str, str]) -> None:
    prefix = "%t/omnitron/dev/app-"
    said = understood(tmp_path, all_said["api"])
    expected = Spec(
        version=1,
        project="shop",
        stack="dev",
        app="app",
        process="api",
        folder=str(tmp_path),
        folders=(str(tmp_path),),
        module="./api.py",
        identifier="app-api",
        app_version="4.5.6",
        hooks=Hooks(
            before_create="api.py:app",
            before_start="api.py:own",
            after_stop="api.py:app",
            on_health_check="api.py:check",
        ),
        health=Health(enabled=True, interval=5000, timeout=2000, retries=7),
        http=Http(
            host="127.0.0.1",
            port=8080,
            cors={"origin": ["https://shop.example"]},
            request_timeout=20_000,
            keep_alive_timeout=10_000,
            headers_timeout=5000,
            max_request_size=1 << 20,
            app_version="1.2.3",
        ),
        websocket=WebSocket(host="::1", port=8081, path="/feed", ping_interval=7000, ping_timeout=3000),
        routes=(Route(method="GET", pattern="/x/{id:int}", handler="api.py:show"),),
        jwt=Jwt(
            token_cache_ttl=12.5,
            credential="jwt-key",
            algorithm="ES256",
            issuer="me",
            audience="you",
            roles_claim="groups",
        ),
        expose=True,
        access={"Prices": f"{prefix}prices.sock"},
        callers=("prices",),
        sources=(
            Source(type="file", path=f"{tmp_path}/settings.toml"),
            Source(type="env"),
            Source(type="file", path=f"{tmp_path}/more.yaml", optional=True),
            Source(type="env", prefix="SHOP_"),
        ),
        env_prefix="SHOP",
        log_level="debug",
        metrics=False,
        startup_timeout=45_000,
        stop_timeout=25_000,
        drain=False,
    )
    assert msgspec.structs.asdict(said) == msgspec.structs.asdict(expected)


def test_what_is_not_said_is_as_the_definition_has_it(tmp_path: Path) -> None:
    transports = {"http": {"port": 1}, "websocket": {"port": 2}}
    texts = planned_texts(tmp_path, {}, {"name": "api", "module": "api.py", "transports": transports})
    said = understood(tmp_path, texts["api"])
    assert (said.hooks, said.health, said.jwt, said.access, said.callers) == (Hooks(), Health(), None, {}, ())
    assert (said.expose, said.metrics, said.drain, said.sources) == (False, True, True, ())
    assert said.http == Http(host="0.0.0.0", port=1)
    assert said.websocket == WebSocket(host="0.0.0.0", port=2)
    assert host_spec.VERSION == VERSION


def test_auth_that_is_switched_off_is_off(tmp_path: Path) -> None:
    system = {"auth": API["auth"]}
    texts = planned_texts(tmp_path, system, PRICES, {**API, "auth": False})
    assert understood(tmp_path, texts["api"]).jwt is None
    assert understood(tmp_path, texts["prices"]).jwt == Jwt(
        token_cache_ttl=12.5, credential="jwt-key", algorithm="ES256", issuer="me", audience="you", roles_claim="groups"
    )


def unknown(said: Any, known: Any) -> set[str]:
    """Keys of a file that the host passes over."""
    if not (isinstance(known, type) and issubclass(known, msgspec.Struct)):
        return set()
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(known)}
    found = set(said) - set(fields)
    for key in set(said) & set(fields):
        types = [one for one in (fields[key], *typing.get_args(fields[key])) if isinstance(one, type)]
        for value in said[key] if isinstance(said[key], list) else [said[key]]:
            found |= unknown(value, next((one for one in types if issubclass(one, msgspec.Struct)), None))
    return found


def test_nothing_is_written_that_the_host_does_not_know(all_said: dict[str, str]) -> None:
    assert [unknown(json.loads(text), Spec) for text in all_said.values()] == [set(), set()]
    assert unknown({"sources": [{"typo": 1}], "http": {"prot": 1}, "x": 1}, Spec) == {"typo", "prot", "x"}


# Files that are not as they should be


def test_a_file_may_say_little(tmp_path: Path) -> None:
    said = understood(tmp_path, json.dumps(LEAST | {"laterKey": {"a": 1}}))
    assert (said.module, said.http, said.stop_timeout) == ("api.py", None, 10_000)


AGAIN = "`omnitron generate` writes it again"


@pytest.mark.parametrize(
    ("content", "why", "hint"),
    [
        (None, "cannot read {}: no such file or directory", AGAIN),
        (b"", "cannot read {}: Input data was truncated", AGAIN),
        (b"{", "cannot read {}: Input data was truncated", AGAIN),
        (b"[]", "cannot read {}: Expected `object`, got `array`", AGAIN),
        (b"{}", "cannot read {}: Object missing required field `version`", AGAIN),
        (b'{"version": 1}', "cannot read {}: Object missing required field `project`", AGAIN),
        (b'{"version": "1"}', "cannot read {}: Expected `int`, got `str` - at `$.version`", AGAIN),
        (b'{"version": 1, "project": "\xff"}', "cannot read {}: 'utf-8' codec can't decode", AGAIN),
        (json.dumps(LEAST | {"http": {"port": "x"}}).encode(), "cannot read {}: Expected `int`, got `str`", AGAIN),
        (json.dumps(LEAST | {"logFormat": "xml"}).encode(), "cannot read {}: Invalid enum value 'xml'", AGAIN),
        (json.dumps(LEAST).encode() + b"}", "cannot read {}: JSON is malformed", AGAIN),
        (
            json.dumps(LEAST | {"version": VERSION + 1, "http": "another shape"}).encode(),
            "cannot use {}: a newer omnitron wrote it",
            "generate again, or update this one",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_told(tmp_path: Path, content: bytes | None, why: str, hint: str) -> None:
    path = tmp_path / "spec.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SpecError) as caught:
        read(path)
    assert caught.value.brief.startswith(why.format(path))
    assert caught.value.hint == hint


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="is a directory"):
        read(tmp_path)
