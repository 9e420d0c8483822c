from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from omnitron.policy.codec import PolicyFileError, read
from omnitron.policy.host_spec import Health, Hooks, HostSpec, Http, Jwt, Route, Source, WebSocket
from tests.support import build

LEAST: dict[str, Any] = {
    "version": HostSpec.VERSION,
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
    return {one.name: one.hosted.text for one in plan.stacks[0].apps["app"] if one.hosted}


def understood(folder: Path, text: str) -> HostSpec:
    path = folder / "spec.json"
    path.write_text(text)
    return read(path, HostSpec)


@pytest.fixture
def all_said(tmp_path: Path) -> dict[str, str]:
    return planned_texts(tmp_path, SYSTEM, API, PRICES)


def test_all_that_a_definition_says_is_understood(tmp_path: Path, all_said: dict[str, str]) -> None:
    prefix = "%t/omnitron/dev/app-"
    said = understood(tmp_path, all_said["api"])
    expected = HostSpec(
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
    assert said == expected


def test_what_is_not_said_is_as_the_definition_has_it(tmp_path: Path) -> None:
    transports = {"http": {"port": 1}, "websocket": {"port": 2}}
    texts = planned_texts(tmp_path, {}, {"name": "api", "module": "api.py", "transports": transports})
    said = understood(tmp_path, texts["api"])
    assert (said.hooks, said.health, said.jwt, said.access, said.callers) == (Hooks(), Health(), None, {}, ())
    assert (said.expose, said.metrics, said.drain, said.sources) == (False, True, True, ())
    assert said.http == Http(host="0.0.0.0", port=1)
    assert said.websocket == WebSocket(host="0.0.0.0", port=2)


def test_auth_that_is_switched_off_is_off(tmp_path: Path) -> None:
    system = {"auth": API["auth"]}
    texts = planned_texts(tmp_path, system, PRICES, {**API, "auth": False})
    assert understood(tmp_path, texts["api"]).jwt is None
    assert understood(tmp_path, texts["prices"]).jwt == Jwt(
        token_cache_ttl=12.5, credential="jwt-key", algorithm="ES256", issuer="me", audience="you", roles_claim="groups"
    )


# Files that are not as they should be


def test_a_file_may_say_little(tmp_path: Path) -> None:
    said = understood(tmp_path, json.dumps(LEAST))
    assert (said.module, said.http, said.stop_timeout) == ("api.py", None, 10_000)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PolicyFileError, match=r"cannot read .*/spec\.json: no such file or directory") as caught:
        read(tmp_path / "spec.json", HostSpec)
    assert caught.value.hint == "`omnitron generate` writes it again"
    with pytest.raises(PolicyFileError, match="is a directory"):
        read(tmp_path, HostSpec)
