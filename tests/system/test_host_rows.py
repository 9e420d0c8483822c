"""What a definition says of a process with a module, field by field, seen in a process that runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.hosted import PORT, call, hosted, rpc
from tests.support.machines import Machine
from tests.support.projects import Make, Project

ROWS = """\
import logging, os
import time
from omnitron import service

time.sleep(float(os.environ.get("SLOW_IMPORT", 0)))
log = logging.getLogger("rows")

@service("Rows")
class Rows:
    async def seen(self, names: list[str]) -> dict:
        return {"cwd": os.getcwd(), **{name: os.environ.get(name) for name in names}}

    async def say(self) -> int:
        for level in ("debug", "info", "warning", "error", "critical"):
            getattr(log, level)("said %s", level)
        return os.getpid()
"""
COLLECTOR = """\
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with open("/run/traces", "ab") as file:
            file.write(self.path.encode() + b" " + body + b"\\n")
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", 4318), Handler).serve_forever()
"""
WEBSOCKET = """\
import json, sys
from websockets.sync.client import connect
with connect(f"ws://127.0.0.1:{sys.argv[1]}/feed") as feed:
    feed.send('{"jsonrpc":"2.0","id":7,"method":"Rows.seen","params":[[]]}')
    print(json.loads(feed.recv(timeout=5))["id"])
"""


def rows(make: Make, *processes: dict[str, Any], dev: dict[str, Any] | None = None, **system: Any) -> Project:
    each = [{"module": "./modules/rows.py", **process} for process in processes]
    project = hosted(make, *each, **system, **({"dev": dev} if dev else {}))
    project.write("modules/rows.py", ROWS)
    project.write("place/here", "")
    return project


def levels(project: Project, process: str) -> list[str]:
    call(project, "Rows.say", app=f"app:{process}")
    unit = project.unit("app", process)

    def said() -> list[str]:
        return [one["MESSAGE"].split()[1] for one in project.machine.journal(unit) if "said " in one["MESSAGE"]]

    project.machine.wait(lambda: "critical" in said(), 5, "its lines are in the journal")
    return said()


def test_environment_folder_and_levels(machine: Machine, make: Make) -> None:
    """`env`, `cwd`, `observability.logging.level`: the app's, and the process's own where it says so."""
    own = {"name": "own", "env": {"A": "process", "B": "process"}, "observability": {"logging": {"level": "debug"}}}
    system = {"env": {"B": "system", "C": "system"}, "cwd": "place", "observability": {"logging": {"level": "error"}}}
    project = rows(make, {"name": "plain"}, own, **system)
    project.omnitron("up")
    names = ["A", "B", "C", "OMNITRON_APP_NAME", "OMNITRON_STACK", "OMNITRON_PROJECT"]
    told = {"OMNITRON_APP_NAME": "app", "OMNITRON_STACK": "dev", "OMNITRON_PROJECT": project.prefix}
    folder = f"{project.folder}/place"
    plain = call(project, "Rows.seen", json.dumps(names), app="app:plain")
    assert plain == {"cwd": folder, "A": None, "B": "system", "C": "system", **told}
    assert call(project, "Rows.seen", json.dumps(names), app="app:own")["A"] == "process"
    assert levels(project, "plain") == ["error", "critical"]
    assert levels(project, "own") == ["debug", "info", "warning", "error", "critical"]
    priorities = [one["PRIORITY"] for one in machine.journal(project.unit("app", "own")) if "said " in one["MESSAGE"]]
    assert priorities == ["7", "6", "4", "3", "2"]


def test_development(machine: Machine, make: Make) -> None:
    """`dev`: port, level and environment, for `omnitron dev` and where OMNITRON_ENV is another than production."""
    http = {"name": "http", "transports": {"http": {"port": PORT}}}
    dev = {"port": PORT + 5, "logLevel": "debug", "env": {"MODE": "dev"}}
    project = rows(make, http, dev=dev)
    environ = ["env", "OMNITRON_ENV=development", *machine.python, "-m", "omnitron", "up"]
    machine.run(*environ, cwd=project.folder)
    assert rpc(machine, "Rows.seen", [["MODE"]], port=PORT + 5)[1]["result"]["MODE"] == "dev"
    assert "debug" in levels(project, "http")
    project.omnitron("up")
    assert rpc(machine, "Rows.seen", [["MODE"]])[1]["result"]["MODE"] is None


def test_cross_origin_requests(machine: Machine, make: Make) -> None:
    """`transports.http.cors`: everybody as a default, nobody, and whom it names."""
    ports = {"any": {}, "none": {"cors": False}, "some": {"cors": {"origin": ["https://a.example"]}}}
    transports = [
        {"name": name, "transports": {"http": {"port": PORT + number, **said}}}
        for number, (name, said) in enumerate(ports.items())
    ]
    project = rows(make, *transports)
    project.omnitron("up")

    def allowed(number: int, origin: str) -> str:
        url = f"http://127.0.0.1:{PORT + number}/rpc"
        asked = ["-H", f"Origin: {origin}", "-H", "Access-Control-Request-Method: POST", "-X", "OPTIONS"]
        lines = machine.run("curl", "-si", *asked, url).stdout.lower().splitlines()
        return next((line.split(": ", 1)[1] for line in lines if line.startswith("access-control-allow-origin")), "")

    assert [allowed(number, "https://b.example") for number in range(3)] == ["*", "", ""]
    assert allowed(2, "https://a.example") == "https://a.example"


def test_a_websocket_at_its_path(machine: Machine, make: Make) -> None:
    """`transports.websocket {port, path}`: calls over it."""
    project = rows(make, {"name": "feed", "transports": {"websocket": {"port": PORT, "path": "/feed"}}})
    project.omnitron("up")
    assert machine.run(*machine.python, "-c", WEBSOCKET, str(PORT)).stdout.strip() == "7"
    status = machine.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"http://127.0.0.1:{PORT}/other").stdout
    assert status == "404"


def test_a_start_that_takes_too_long(machine: Machine, make: Make) -> None:
    """`startupTimeout`, and a `restartPolicy` of one process alone."""
    slow = {"name": "slow", "env": {"SLOW_IMPORT": "30"}, "startupTimeout": "2s", "restartPolicy": {"enabled": False}}
    project = rows(make, slow, {"name": "quick"})
    project.omnitron("up", check=False)
    machine.wait(lambda: project.state("app", "slow") == "failed", 15, "it has been given up")
    assert machine.show(project.unit("app", "slow"), "Result") in ("timeout", "exit-code", "signal")
    assert machine.show(project.unit("app", "slow"), "NRestarts") == "0"
    assert project.state("app", "quick") == "active"


def test_hooks_of_a_process_take_the_place_of_the_apps(machine: Machine, make: Make) -> None:
    """`hooks` of the app and of a process; `observability.metrics` false keeps no figures."""
    machine.run("install", "-d", "-m", "777", "/run/hooks")
    machine.run("rm", "-f", "/run/hooks/order", "/run/hooks/sick")
    of_app = {"beforeStart": "hooks.py:before_start", "afterStart": "hooks.py:before_stop"}
    writes = {"paths": {"write": ["/run/hooks"]}}
    own = {"name": "own", "hooks": {"beforeStart": "hooks.py:before_create"}, **writes}
    project = rows(make, own, hooks=of_app, observability={"metrics": False})
    project.omnitron("up")
    order = [line.split()[1] for line in machine.read("/run/hooks/order").splitlines()]
    assert order == ["beforeCreate", "beforeStop"]
    control = f"/run/{project.prefix}/dev/app/control.sock"
    answer = machine.run("curl", "-s", "--unix-socket", control, "http://x/metrics", check=False).stdout
    assert "omnitron_rpc" not in answer


@pytest.fixture
def collector(debian12: Machine) -> Iterator[Machine]:
    """The machine that has the libraries for traces, and something that takes them."""
    debian12.write("/run/collector.py", COLLECTOR)
    debian12.run("rm", "-f", "/run/traces")
    debian12.run("systemd-run", "--quiet", "--unit=collector", "/usr/bin/python3", "/run/collector.py")
    yield debian12
    debian12.systemctl("stop", "collector")


@pytest.mark.parametrize("machine", ["debian12"], indirect=True)
def test_traces_reach_their_collector(machine: Machine, collector: Machine, make: Make) -> None:
    """`observability.tracing`: spans of what is served, parts of the caller's trace."""
    http = {"name": "http", "transports": {"http": {"port": PORT}}, "env": {"OTEL_BSP_SCHEDULE_DELAY": "100"}}
    project = rows(make, http, observability={"tracing": {"sampler": "always_on", "propagator": "w3c"}})
    project.omnitron("up")
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    rpc(machine, "Rows.seen", [[]], f"traceparent: 00-{trace}-00f067aa0ba902b7-01")
    machine.wait(lambda: machine.run("test", "-s", "/run/traces", check=False).returncode == 0, 10, "spans have come")
    found = machine.run("cat", "-v", "/run/traces").stdout
    assert "/v1/traces" in found and "Rows.seen" in found
    ids = machine.run("python3", "-c", f"print(bytes.fromhex('{trace}') in open('/run/traces', 'rb').read())").stdout
    assert ids.strip() == "True"


GUARD = """\
class Manager:
    def verify(self, token):
        return {"sub": token, "roles": ["admin"] if token == "root" else []} if token in ("ann", "root") else None

def manager():
    return Manager()

def rows(identity):
    return {"owner": identity.subject} if identity else None

async def wrapper(invocation, proceed):
    print(f"{invocation.identity.subject} calls {invocation.method}", flush=True)
    return await proceed()
"""
GUARDED = """\
from omnitron import current_call, requires, service

@service("Rows")
class Rows:
    async def mine(self) -> dict:
        return current_call().rows

    @requires("admin")
    async def secret(self) -> str:
        return "told"
"""


def test_the_apps_own_functions_around_a_call(machine: Machine, make: Make) -> None:
    """`auth.manager`, `auth.rls`, `auth.invocationWrapper`."""
    auth = {name: f"guard.py:{function}" for name, function in
            (("manager", "manager"), ("rls", "rows"), ("invocationWrapper", "wrapper"))}  # fmt: skip
    http = {"name": "http", "module": "./modules/guarded.py", "transports": {"http": {"port": PORT}}}
    project = hosted(make, http, auth=auth)
    project.write("guard.py", GUARD)
    project.write("modules/guarded.py", GUARDED)
    project.omnitron("up")

    def ask(method: str, token: str) -> tuple[int, Any]:
        return rpc(machine, f"Rows.{method}", [], f"Authorization: Bearer {token}")

    url = f"http://127.0.0.1:{PORT}/rpc"
    for headers in ([], ["-H", "Authorization: Bearer nobody"]):
        assert "401" in machine.run("curl", "-si", *headers, "-d", "{}", url).stdout.splitlines()[0]
    assert ask("mine", "ann") == (200, {"jsonrpc": "2.0", "id": 1, "result": {"owner": "ann"}})
    assert ask("secret", "ann")[0] == 403
    assert ask("secret", "root")[1]["result"] == "told"
    said = [one["MESSAGE"] for one in machine.journal(project.unit("app", "http"))]
    assert "ann calls Rows.mine" in said and "root calls Rows.secret" in said


def test_metrics_are_sent_as_statsd(machine: Machine, make: Make) -> None:
    """`observability.metrics {export, interval}`."""
    metrics = {"export": "statsd", "interval": "200ms"}
    env = {"STATSD_PORT": str(PORT + 90)}
    project = rows(make, {"name": "one", "env": env}, observability={"metrics": metrics})
    receive = f"import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('127.0.0.1', {PORT + 90}))"
    listen = f"{receive}\nwhile True:\n    print(s.recv(9999).decode(), flush=True)"
    machine.run("systemd-run", "--quiet", "--unit=statsd", "/usr/bin/python3", "-c", listen)
    try:
        project.omnitron("up")
        call(project, "Rows.seen", "[]")
        counted = f"{project.prefix}.dev.app.one.omnitron_rpc_calls_total.Rows_seen.ok:1|c"

        def heard() -> bool:
            return any(counted in str(one["MESSAGE"]) for one in machine.journal("statsd.service"))

        machine.wait(heard, 10, "the call is counted")
    finally:
        machine.systemctl("stop", "statsd")
