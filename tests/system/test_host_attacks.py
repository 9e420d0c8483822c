"""What a process with a module makes of clients that mean no good: right answers, bounded memory, and it lives."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.checkout import CHECKOUT
from tests.support.hosted import PORT, call, hosted, rpc
from tests.support.machines import Machine
from tests.support.projects import Make, Project

ATTACK = (CHECKOUT / "tests/support/attack.py").read_text()
ROUTE = {"method": "GET", "pattern": "/hello/{name}", "handler": "modules/api.py:hello"}


@pytest.fixture
def project(make: Make) -> Project:
    http = {"port": PORT, "headersTimeout": "2s", "requestTimeout": "3s"}
    feed = {"port": PORT + 1, "path": "/feed", "keepAlive": {"interval": "1s", "timeout": "1s"}}
    process = {"name": "http", "transports": {"http": http, "websocket": feed}, "customRoutes": [ROUTE]}
    made = hosted(make, process)
    made.write("attack.py", ATTACK)
    made.omnitron("up")
    return made


def attack(project: Project, what: str, *arguments: str, port: int = PORT) -> Any:
    """Run an attack; what it saw. The process lives through it, and has not grown by more than 200 MB."""
    pid = project.pid("app", "http")
    done = project.machine.run(
        "python3", "attack.py", str(port), what, *arguments, cwd=project.folder, timeout=120, check=False
    )
    assert not done.returncode, done.stderr[-2000:]
    assert project.pid("app", "http") == pid
    assert call(project, "Shop.add", "1") == 2
    status = project.machine.read(f"/proc/{pid}/status")
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    assert peak < 200 * 1024, f"{peak} kB"
    return json.loads(done.stdout)


def test_damaged_calls_have_the_answers_of_the_protocol(project: Project) -> None:
    seen = attack(project, "fuzz", "7", "1500")
    known = {"None", "-32700", "-32600", "-32601", "-32602"}
    for kind in seen:
        status, codes = kind.split(" ", 1)
        assert status in ("200", "204") and set(json.loads(codes.replace("'", '"'))) <= known, kind
    assert sum(seen.values()) == 1500 and len(seen) > 4


def test_bodies_without_end_are_refused(project: Project) -> None:
    assert attack(project, "large") == {"413": 12}


def test_slow_heads_end_and_keep_nobody_waiting(project: Project) -> None:
    seen = attack(project, "slow")
    assert seen["served"] == 20 and seen["servedSeconds"] < 5
    assert seen["longest"] < 8
    assert set(seen["answers"]) <= {"408", ""}


def test_websockets_of_clients_that_are_gone_end(project: Project) -> None:
    seen = attack(project, "sockets", port=PORT + 1)
    assert seen["pinged"] == 20
    assert seen["longest"] < 8


def test_calls_that_go_wrong(machine: Machine, project: Project) -> None:
    assert rpc(machine, "Shop.nothing", [])[1]["error"]["code"] == -32601
    assert rpc(machine, "Shop.add", ["x"])[1]["error"]["code"] == -32602
    broken = rpc(machine, "Shop.fail", [])[1]["error"]
    assert broken["code"] == -32603 and "told to" not in json.dumps(broken)
    status, late = rpc(machine, "Shop.slow", [60])
    assert (status, late["error"]["message"]) == (200, "not done within the deadline")
    batch = json.dumps([{"jsonrpc": "2.0", "id": 1, "method": "Shop.add", "params": [1]}] * 101)
    url = f"http://127.0.0.1:{PORT}/rpc"
    answer = json.loads(machine.run("curl", "-s", "-d", "@-", url, input=batch).stdout)
    assert answer["error"]["code"] == -32600
