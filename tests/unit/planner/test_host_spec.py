"""What the process host is told, compiled from what a definition says."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from omnitron.planner.units.values import Literal
from tests.support.build import bootstrap, planned, shop, units, write

WORKER = "from omnitron import service\n@service('Work')\nclass Worker: ...\n"
UNCLEAR = "from omnitron import service\n@service(str())\nclass A: ...\n"
JWT = {"jwt": {"enabled": True, "keyFile": "jwt.key"}}


def specs(folder: Path, *processes: dict[str, Any], **system: Any) -> list[dict[str, Any]]:
    """What the host reads for each process of an app with a folder of its own."""
    for name, text in {"m": "", "work": WORKER, "unclear": UNCLEAR}.items():
        write(folder / "app", text, ".py", name)
    (folder / "jwt.key").write_text("k" * 40)
    each = [{"name": f"p{number}", "module": "m.py", **process} for number, process in enumerate(processes)]
    bootstrap(folder / "app", *each, **system)
    plan = planned(folder, shop({"name": "app", "bootstrap": "app/bootstrap.yaml"}))
    return [json.loads(process.hosted.spec) for process in plan.stacks[0].apps["app"] if process.hosted]


def test_what_is_said_of_the_app_and_of_a_process(tmp_path: Path) -> None:
    hooks = {"afterStop": "m.py:own"}
    app_hooks = {"beforeStart": "m.py:first", "afterStop": "m.py:general"}
    own, other = specs(
        tmp_path, {"hooks": hooks, "observability": {"metrics": False}}, {}, hooks=app_hooks, version="2"
    )
    assert own["hooks"] == {"beforeStart": "m.py:first", "afterStop": "m.py:own"}
    assert (own["metrics"], own["appVersion"], own["identifier"]) == (False, "2", "app-p0")
    assert (other["hooks"], other["metrics"]) == (app_hooks, True)


def test_paths_start_where_they_are_written(tmp_path: Path) -> None:
    sources = ["settings.yaml", {"type": "env", "prefix": "APP_"}, "env"]
    (spec,) = specs(tmp_path, {}, config={"sources": sources, "envPrefix": "X_"})
    assert spec["sources"] == [
        {"type": "file", "path": f"{tmp_path}/app/settings.yaml", "optional": False},
        {"type": "env", "prefix": "APP_", "optional": False},
        {"type": "env", "optional": False},
    ]
    assert spec["envPrefix"] == "X_"
    assert spec["folders"] == [f"{tmp_path}/app", str(tmp_path)]


def test_transports(tmp_path: Path) -> None:
    given = {"http": {"port": 1, "requestTimeout": "5s"}, "websocket": {"port": 2, "keepAlive": {"interval": "9s"}}}
    (spec,) = specs(tmp_path, {"transports": given})
    assert (spec["http"]["port"], spec["http"]["requestTimeout"], spec["http"]["cors"]) == (1, 5000, True)
    assert spec["websocket"] == {"host": "0.0.0.0", "port": 2, "path": "/ws", "pingInterval": 9000}


@pytest.mark.parametrize(
    ("app", "own", "asks"),
    [(None, None, False), (JWT, None, True), (JWT, False, False), (None, JWT, True), ({"jwt": {}}, None, False)],
)
def test_who_asks_for_a_token(tmp_path: Path, app: Any, own: Any, asks: bool) -> None:
    (spec,) = specs(tmp_path, {} if own is None else {"auth": own}, **({"auth": app} if app else {}))
    assert ("jwt" in spec) == asks


def test_only_roots_definitions_say_what_systemd_reads_as_root(tmp_path: Path) -> None:
    specs(tmp_path, {"auth": JWT})
    data = shop({"name": "app", "bootstrap": "app/bootstrap.yaml"})

    def compiled() -> tuple[dict[str, Any], Any]:
        plan = planned(tmp_path, data)
        (process,) = plan.stacks[0].apps["app"]
        assert process.hosted
        return json.loads(process.hosted.spec)["jwt"], units(plan)["omnitron-dev-app-p0.service"].values

    if os.geteuid() == 0:
        jwt, values = compiled()
        assert jwt["credential"] == "jwt-key" and "keyFile" not in jwt
        assert values["load_credential"] == (Literal(f"jwt-key:{tmp_path}/jwt.key"),)
        os.chown(tmp_path / "app/bootstrap.yaml", 65534, -1)
    jwt, values = compiled()
    assert jwt["keyFile"] == f"{tmp_path}/jwt.key" and "credential" not in jwt
    assert values["load_credential"] is None


def test_a_service_that_no_text_names_is_of_the_only_process_that_does_not_say(tmp_path: Path) -> None:
    worker = {"module": "work.py", "topology": {"expose": True}}
    unclear = {"module": "unclear.py", "topology": {"expose": True}, "user": "games"}
    front = {"topology": {"access": ["Work", "Other"]}, "user": "lp"}
    known, guessed, wants = specs(tmp_path, worker, unclear, front)
    assert wants["access"] == {
        "Work": "%t/omnitron/dev/app-p0.sock",
        "Other": "%t/omnitron/dev/app-p1.sock",
    }
    assert known["callers"] == guessed["callers"] == ["lp"]
