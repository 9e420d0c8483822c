"""The gateway: nginx from the distribution, in front of real processes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.support.certificates import certify, shown
from tests.support.checkout import CHECKOUT
from tests.support.machines import Machine
from tests.support.projects import Make, Project

PORT, UPSTREAM = 23000, 23500
MODULE = """\
from starlette.requests import Request
from starlette.responses import JSONResponse
from omnitron import service

@service
class Echo:
    async def echo(self, text: str) -> str:
        return text

@service
class Shop:
    async def who(self) -> dict[str, int]:
        return {"instance": 0}

async def show(request: Request) -> JSONResponse:
    body = await request.body()
    return JSONResponse({"path": request.url.path, "headers": dict(request.headers), "bytes": len(body)})
"""


@pytest.fixture
def machine(debian12: Machine) -> Machine:
    """The machine that has nginx and Redis."""
    return debian12


def project(make: Make, number: int, *, redis: bool = False, **gateway: Any) -> Project:
    """A project with an API behind a gateway; `number` keeps its ports apart from those of others."""
    infrastructure = {"services": {"redis": {"preset": "redis", "ports": {"main": UPSTREAM + 200 + number}}}}
    more = {"infrastructure": infrastructure} if redis else {}
    made = make(
        [{"name": "web", "bootstrap": "web/bootstrap.json"}],
        gateway={"port": PORT + number, "host": "127.0.0.1", **gateway},
        **more,
    )
    http = {"http": {"port": UPSTREAM + number, "host": "127.0.0.1"}}
    routes = [{"method": method, "pattern": "/{path:path}", "handler": "web.py:show"} for method in ("GET", "POST")]
    process = {"name": "api", "module": "./web.py", "instances": 2, "transports": http, "customRoutes": routes}
    feed = {
        "name": "feed",
        "module": "./web.py",
        "transports": {"websocket": {"port": UPSTREAM + 100 + number, "host": "127.0.0.1", "path": "/feed"}},
    }
    made.write("web/bootstrap.json", json.dumps({"name": "web", "processes": [process, feed]}))
    made.write("web/web.py", MODULE)
    return made


def curl(project: Project, path: str, *options: str, scheme: str = "http") -> tuple[int, dict[str, str], str]:
    """Status, headers and body of an answer of the gateway."""
    port = project.definition["gateway"]["port"]
    done = project.machine.run("curl", "-sk", "-D", "/dev/stderr", *options, f"{scheme}://127.0.0.1:{port}{path}")
    first, *lines = [line for line in done.stderr.splitlines() if line]
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(first.split()[1]), headers, done.stdout


def unit(project: Project) -> str:
    return f"{project.prefix}-dev-gateway.service"


def test_what_is_asked_for_reaches_the_app(machine: Machine, make: Make) -> None:
    it = project(make, 1, maxBodySize="1mb", cors=["https://a.example"])
    it.omnitron("up")
    status, headers, body = curl(
        it, "/api/web/some/where?a=b", "-H", "X-Request-Id: mine", "-H", "Origin: https://a.example"
    )
    seen = json.loads(body)
    assert (status, seen["path"]) == (200, "/some/where")
    assert seen["headers"]["x-request-id"] == headers["x-request-id"] == "mine"
    assert seen["headers"]["x-forwarded-prefix"] == "/api/web"
    assert seen["headers"]["x-real-ip"] == "127.0.0.1"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["access-control-allow-origin"] == "https://a.example"
    assert "access-control-allow-origin" not in curl(it, "/api/web/", "-H", "Origin: https://b.example")[1]
    assert curl(it, "/api/web/", "-X", "OPTIONS", "-H", "Origin: https://a.example")[0] == 204
    assert re.fullmatch("[0-9a-f]{32}", curl(it, "/api/web/", "-H", "X-Request-Id: no good")[1]["x-request-id"])
    machine.write("/run/big", "x" * (2 << 20))
    assert curl(it, "/api/web/", "--data-binary", "@/run/big")[0] == 413
    assert curl(it, "/health")[::2] == (200, "healthy\n")
    assert curl(it, "/api/other/")[0] == curl(it, "/")[0] == 404
    call = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "Echo.echo", "params": ["hello"]})
    assert (
        json.loads(curl(it, "/api/web/rpc", "-H", "Content-Type: application/json", "-d", call)[2])["result"] == "hello"
    )
    status = it.status()["gateway"]
    assert (status["status"], status["port"]) == ("online", PORT + 1)


def test_a_websocket_goes_through(machine: Machine, make: Make) -> None:
    it = project(make, 2)
    it.omnitron("up")
    code = (
        "from websockets.sync.client import connect\n"
        f"with connect('ws://127.0.0.1:{PORT + 2}/ws/web/') as feed:\n"
        '    feed.send(\'{"jsonrpc":"2.0","id":1,"method":"Echo.echo","params":["hello"]}\')\n'
        "    print(feed.recv(timeout=5))\n"
    )
    assert json.loads(machine.run(machine.python[-1], "-c", code).stdout)["result"] == "hello"


def test_maintenance_is_switched_within_a_second_and_fails_open(machine: Machine, make: Make) -> None:
    it = project(make, 3, redis=True, maintenance={"allow": ["127.0.0.2"], "retryAfter": 7, "page": "page.html"})
    it.write("page.html", "<p>back soon</p>")
    it.omnitron("up")
    assert curl(it, "/api/web/")[0] == 200
    assert it.omnitron("maintenance", "status").returncode == 0
    assert it.omnitron("maintenance", "on").stdout == "dev is in maintenance\n"
    machine.wait(lambda: curl(it, "/api/web/")[0] == 503, 1, "it is closed")
    status, headers, body = curl(it, "/api/web/")
    assert (status, headers["retry-after"], body) == (503, "7", "<p>back soon</p>")
    assert curl(it, "/api/web/", "--interface", "127.0.0.2")[0] == 200
    assert curl(it, "/health")[0] == 200
    assert it.omnitron("maintenance", "status", check=False).returncode == 1
    it.omnitron("maintenance", "off")
    machine.wait(lambda: curl(it, "/api/web/")[0] == 200, 1, "it is open again")
    it.omnitron("maintenance", "on")
    machine.wait(lambda: curl(it, "/api/web/")[0] == 503, 1, "it is closed again")
    it.omnitron("stop", "infra-redis")
    machine.wait(lambda: curl(it, "/api/web/")[0] == 200, 1, "without Redis it is open")
    gone = it.omnitron("maintenance", "off", check=False)
    assert gone.returncode == 1 and "cannot reach the Redis that stores the maintenance mode" in gone.stderr
    # It was never taken back, and holds again.
    it.omnitron("start", "infra-redis")
    machine.wait(lambda: curl(it, "/api/web/")[0] == 503, 10, "the gateway asks again")


def test_ten_thousand_requests_while_the_app_and_the_gateway_reload(machine: Machine, make: Make) -> None:
    it = project(make, 4)
    it.write("load.py", (CHECKOUT / "tests/support/load.py").read_text())
    it.omnitron("up")
    before = it.pid("web", "api", 1)
    omnitron = " ".join([*machine.python, "-m", "omnitron"])
    load = f"python3 load.py {PORT + 4} 10000 16 proxied /api/web/rpc >/run/{it.prefix}-load"
    during = f"while kill -0 $load; do {omnitron} reload web; {omnitron} reload gateway; done"
    script = f"{load} & load=$!; sleep 0.3; {during} 2>/run/{it.prefix}-during; wait $load"
    machine.run("bash", "-c", script, cwd=it.folder, timeout=120)
    found = json.loads(machine.read(f"/run/{it.prefix}-load"))
    assert found["failures"] == {}
    assert sum(found["instances"].values()) >= 10_000
    assert it.pid("web", "api", 1) != before


def test_the_rate_limit_holds(machine: Machine, make: Make) -> None:
    it = project(make, 5, rateLimit={"rate": 200, "burst": 20})
    it.omnitron("up")
    seconds = 5
    code = (
        "import http.client, time\n"
        f"c = http.client.HTTPConnection('127.0.0.1', {PORT + 5}); end = time.monotonic() + {seconds}; found = []\n"
        "while time.monotonic() < end:\n"
        "    c.request('GET', '/api/web/'); a = c.getresponse(); a.read(); found.append(a.status)\n"
        "print(found.count(200), found.count(429), len(found))\n"
    )
    served, refused, asked = map(int, machine.run(machine.python[-1], "-c", code).stdout.split())
    assert served + refused == asked > 1.2 * served
    assert served == pytest.approx(200 * seconds + 20, rel=0.05)


def test_https(machine: Machine, make: Make) -> None:
    it = project(make, 6, tls={"certificate": "tls.crt", "key": "tls.key"})
    certify(it, "first")
    it.omnitron("up")
    pid = machine.show(unit(it), "MainPID")
    assert shown(machine, PORT + 6) == "first"
    certify(it, "renewed")
    it.omnitron("reload", "gateway")
    machine.wait(lambda: shown(machine, PORT + 6) == "renewed", 5, "the renewed certificate is shown")
    assert machine.show(unit(it), "MainPID") == pid
    status, headers, _ = curl(it, "/api/web/", scheme="https")
    assert status == 200 and "max-age" in headers["strict-transport-security"]


def test_the_projects_own_files_and_what_nginx_refuses_of_them(machine: Machine, make: Make) -> None:
    it = project(make, 7, configDir="nginx")
    it.write("nginx/server/hello.conf", "location = /hello { return 200 hello; }\n")
    it.write("nginx/http/zone.conf", "# nothing\n")
    it.omnitron("up")
    assert curl(it, "/hello")[2] == "hello"
    pid = machine.show(unit(it), "MainPID")
    it.write("nginx/server/hello.conf", "location = /hello { return 200 \n")
    assert it.omnitron("reload", "gateway", check=False).returncode == 1
    assert (curl(it, "/hello")[2], machine.show(unit(it), "MainPID")) == ("hello", pid)
    assert any("cannot use the configuration" in one["MESSAGE"] for one in machine.journal(unit(it)))
    it.write("nginx/server/hello.conf", "location = /hello { return 200 again; }\n")
    it.omnitron("reload", "gateway")
    machine.wait(lambda: curl(it, "/hello")[2] == "again", 5, "the new file is used")
    assert machine.show(unit(it), "MainPID") == pid


def test_an_app_that_comes_is_served_without_a_restart(machine: Machine, make: Make) -> None:
    it = project(make, 8)
    it.omnitron("up")
    pid = machine.show(unit(it), "MainPID")
    assert curl(it, "/api/new/")[0] == 404
    server = [machine.python[-1], "-m", "http.server", str(UPSTREAM + 300), "--bind", "127.0.0.1"]
    new = {
        "name": "new",
        "command": server,
        "transports": {"http": {"port": UPSTREAM + 300, "host": "127.0.0.1"}},
        "health": {"probe": {"type": "tcp"}},
    }
    it.define([{"name": "web", "bootstrap": "web/bootstrap.json"}, new])
    assert f"reload {unit(it)}" in it.omnitron("up").stdout
    machine.wait(lambda: curl(it, "/api/new/")[0] == 200, 5, "it is served")
    assert machine.show(unit(it), "MainPID") == pid


def test_what_the_gateway_refuses(make: Make) -> None:
    it = project(make, 9, host="localhost", maintenance={"allow": ["everybody"]}, cors=["*.example"], configDir="no;ne")
    said = it.omnitron("validate", check=False).stderr
    for text in (
        "gateway.host: cannot listen on 'localhost': it is not an IP address",
        "gateway.maintenance.allow.0: cannot allow 'everybody'",
        "gateway.cors.0: cannot allow '*.example'",
        "gateway.configDir: cannot use",
    ):
        assert text in said


def test_two_stacks_serve_side_by_side(machine: Machine, make: Make) -> None:
    it = project(make, 30)
    offsets = {"gateway": 50, "apps": 50}
    it.definition["stacks"]["staging"] = {"type": "local", "settings": {"portOffsets": offsets}}
    it.define([{"name": "web", "bootstrap": "web/bootstrap.json"}])
    for stack in ("dev", "staging"):
        assert "cannot run at the same time" not in it.omnitron("up", stack).stderr
    for port in (PORT + 30, PORT + 80):
        address = f"http://127.0.0.1:{port}/api/web/x"
        assert json.loads(machine.run("curl", "-s", address).stdout)["path"] == "/x"
    it.omnitron("down", "dev")
    assert json.loads(machine.run("curl", "-s", address).stdout)["path"] == "/x"
