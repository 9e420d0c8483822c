"""What the process host is told, compiled from what a definition says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from omnitron.planner.units.values import Literal
from omnitron.policy.host_spec import Hooks, HostSpec, Http, Source, WebSocket
from tests.support.build import bootstrap, facts, planned, shop, units, write

WORKER = "from omnitron import service\n@service('Work')\nclass Worker: ...\n"
UNCLEAR = "from omnitron import service\n@service(str())\nclass A: ...\n"
JWT = {"jwt": {"enabled": True, "keyFile": "jwt.key"}}


def specs(folder: Path, *processes: dict[str, Any], **system: Any) -> list[HostSpec]:
    """What the host reads for each process of an app with a folder of its own."""
    for name, text in {"m": "", "work": WORKER, "unclear": UNCLEAR}.items():
        write(folder / "app", text, ".py", name)
    (folder / "jwt.key").write_text("k" * 40)
    each = [{"name": f"p{number}", "module": "m.py", **process} for number, process in enumerate(processes)]
    bootstrap(folder / "app", *each, **system)
    plan = planned(folder, shop({"name": "app", "bootstrap": "app/bootstrap.yaml"}))
    return [process.hosted.document for process in plan.stacks[0].apps["app"] if process.hosted]


def test_what_is_said_of_the_app_and_of_a_process(tmp_path: Path) -> None:
    hooks = {"afterStop": "m.py:own"}
    app_hooks = {"beforeStart": "m.py:first", "afterStop": "m.py:general"}
    own, other = specs(
        tmp_path, {"hooks": hooks, "observability": {"metrics": False}}, {}, hooks=app_hooks, version="2"
    )
    assert own.hooks == Hooks(before_start="m.py:first", after_stop="m.py:own")
    assert (own.metrics, own.app_version, own.identifier) == (False, "2", "app-p0")
    assert (other.hooks, other.metrics) == (Hooks(before_start="m.py:first", after_stop="m.py:general"), True)


def test_paths_start_where_they_are_written(tmp_path: Path) -> None:
    sources = ["settings.yaml", {"type": "env", "prefix": "APP_"}, "env"]
    (spec,) = specs(tmp_path, {}, config={"sources": sources, "envPrefix": "X_"})
    file = Source("file", path=f"{tmp_path}/app/settings.yaml")
    assert spec.sources == (file, Source("env", prefix="APP_"), Source("env"))
    assert spec.env_prefix == "X_"
    assert spec.folders == (f"{tmp_path}/app", str(tmp_path))


def test_transports(tmp_path: Path) -> None:
    given = {"http": {"port": 1, "requestTimeout": "5s"}, "websocket": {"port": 2, "keepAlive": {"interval": "9s"}}}
    (spec,) = specs(tmp_path, {"transports": given})
    assert spec.http == Http("0.0.0.0", 1, request_timeout=5000)
    assert spec.websocket == WebSocket("0.0.0.0", 2, "/ws", ping_interval=9000)


@pytest.mark.parametrize(
    ("app", "own", "asks"),
    [(None, None, False), (JWT, None, True), (JWT, False, False), (None, JWT, True), ({"jwt": {}}, None, False)],
)
def test_who_asks_for_a_token(tmp_path: Path, app: Any, own: Any, asks: bool) -> None:
    (spec,) = specs(tmp_path, {} if own is None else {"auth": own}, **({"auth": app} if app else {}))
    assert (spec.jwt is not None) == asks


@pytest.mark.parametrize("is_user", [False, True])
def test_the_systems_manager_reads_the_key(tmp_path: Path, is_user: bool) -> None:
    specs(tmp_path, {"auth": JWT})
    data = shop({"name": "app", "bootstrap": "app/bootstrap.yaml"})
    plan = planned(tmp_path, data, facts(scope="user") if is_user else facts())
    (process,) = plan.stacks[0].apps["app"]
    assert process.hosted and process.hosted.document.jwt
    jwt, values = process.hosted.document.jwt, units(plan)["omnitron-dev-app-p0.service"].values
    if is_user:
        assert (jwt.credential, jwt.key_file) == (None, f"{tmp_path}/jwt.key")
        assert values["load_credential"] is None
    else:
        assert (jwt.credential, jwt.key_file) == ("jwt-key", None)
        assert values["load_credential"] == (Literal(f"jwt-key:{tmp_path}/jwt.key"),)


def test_a_service_that_no_text_names_is_of_the_only_process_that_does_not_say(tmp_path: Path) -> None:
    worker = {"module": "work.py", "topology": {"expose": True}}
    unclear = {"module": "unclear.py", "topology": {"expose": True}, "user": "games"}
    front = {"topology": {"access": ["Work", "Other"]}, "user": "lp"}
    known, guessed, wants = specs(tmp_path, worker, unclear, front)
    assert wants.access == {
        "Work": "%t/omnitron/dev/app-p0.sock",
        "Other": "%t/omnitron/dev/app-p1.sock",
    }
    assert known.callers == guessed.callers == ("lp",)
