"""The process host: what a process costs, and how much it serves beside the same server bare."""

from __future__ import annotations

import json
from pathlib import Path

from tests.bench.machine import BIN, Bench, booted
from tests.bench.table import Row, median

STARTS = 9
INSTANCES = 4
SPREAD_CONNECTIONS = 800

MODULE = """\
from omnitron import Context, service

@service
class Bench:
    def __init__(self, context: Context) -> None:
        self.instance = context.instance

    async def add(self, a: int, b: int) -> int:
        return a + b

    async def who(self) -> int | None:
        return self.instance
"""

HANDLER = """\
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

async def handler(request):
    return PlainTextResponse("hello")

bare = Starlette(routes=[Route("/hello", handler)])
"""

CLIENT = """\
import socket, time

def connect(address):
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    connection = socket.socket(family)
    connection.connect(address)
    return connection

def cpu(pid):
    fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100

def answered(connection, end):
    got = b""
    while end not in got:
        got += connection.recv(65536)
    return got

def load(address, message, end, seconds, connections=16):
    '''Requests in a second, each connection sending one after the other.'''
    sockets = [connect(address) for _ in range(connections)]
    count, began = 0, time.monotonic()
    while time.monotonic() < began + seconds:
        for one in sockets:
            one.sendall(message)
        for one in sockets:
            answered(one, end)
        count += connections
    return count / (time.monotonic() - began), count
"""

RPC = (
    CLIENT
    + """
message = b'{"jsonrpc":"2.0","id":1,"method":"Bench.add","params":[1,2]}\\n'
load(%(path)r, message, b"\\n", 0.5)
before = cpu(%(pid)d)
rate, count = load(%(path)r, message, b"\\n", 4)
print(count / (cpu(%(pid)d) - before))
"""
)

HTTP = (
    CLIENT
    + """
message = b"GET /hello HTTP/1.1\\r\\nhost: x\\r\\n\\r\\n"
rates = {port: [] for port in %(ports)r}
for _ in range(5):
    for port in rates:
        rates[port].append(load(("127.0.0.1", port), message, b"hello", 1.5)[0])
print(repr(rates))
"""
)

SPREAD = (
    CLIENT
    + """
import collections, json
message = b'{"jsonrpc":"2.0","id":1,"method":"Bench.who"}\\n'
found = collections.Counter()
for _ in range(%(connections)d // 8):
    sockets = [connect(%(path)r) for _ in range(8)]
    for one in sockets:
        one.sendall(message)
    for one in sockets:
        found[json.loads(answered(one, b"\\n"))["result"]] += 1
        one.close()
print(json.dumps(list(found.values())))
"""
)


def measure() -> list[Row]:
    """Return the rows: memory, time to start, calls and requests in a second, and how evenly a pool shares."""
    with booted() as bench:
        _define(bench)
        bench.run("ip", "link", "set", "lo", "up")
        bench.run("systemctl", "start", "bench-dev.target")
        bench.run("sleep", "1")
        return [*_memory(bench), *_starts(bench), *_rates(bench), _spread(bench)]


def _define(bench: Bench) -> None:
    http = {
        "transports": {"http": {"port": 8990}},
        "customRoutes": [{"method": "GET", "pattern": "/hello", "handler": "handler.py:handler"}],
    }
    processes = [
        {"name": "plain", "module": "./module.py"},
        {"name": "http", "module": "./module.py", **http},
        {"name": "pool", "module": "./module.py", "instances": INSTANCES, "topology": {"expose": True}},
        {"name": "bare", "command": [str(BIN / "python"), "-m", "uvicorn", *BARE]},
    ]
    bench.write("/srv/bench/module.py", MODULE)
    bench.write("/srv/bench/handler.py", HANDLER)
    bench.write("/srv/bench/bootstrap.json", json.dumps({"name": "app", "processes": processes}))
    bench.project([{"name": "app", "bootstrap": "bootstrap.json", "user": "www-data"}])


BARE = ["--port=8991", "--http=httptools", "--no-access-log", "--lifespan=off", "--no-server-header", "handler:bare"]


def _show(bench: Bench, name: str, what: str) -> int:
    return int(bench.run("systemctl", "show", "--value", f"--property={what}", f"bench-dev-app-{name}.service"))


def _memory(bench: Bench) -> list[Row]:
    rows = []
    for name, wanted in (("plain", "at most 20 MB"), ("http", "at most 32 MB")):
        text = bench.run("grep", "^Pss:", Path(f"/proc/{_show(bench, name, 'MainPID')}/smaps_rollup"))
        rows.append(Row(f"memory (PSS), {name}", int(text.split()[1]) / 1024, "", None, wanted, unit="MB"))
    return rows


def _starts(bench: Bench) -> list[Row]:
    rows = []
    for name, wanted in (("plain", "at most 150 ms"), ("http", "at most 350 ms")):
        times = []
        for _ in range(STARTS):
            bench.run("systemctl", "restart", f"bench-dev-app-{name}.service")
            began = _show(bench, name, "ExecMainStartTimestampMonotonic")
            times.append((_show(bench, name, "ActiveEnterTimestampMonotonic") - began) / 1000)
        rows.append(Row(f"start to READY, {name}", median(times), "", None, wanted))
    return rows


def _rates(bench: Bench) -> list[Row]:
    values = {"path": "/run/bench/dev/app-plain/control.sock", "pid": _show(bench, "plain", "MainPID")}
    calls = float(bench.script(RPC % values))
    rates = eval(bench.script(HTTP % {"ports": [8990, 8991]}))
    own, bare = median(rates[8990]), median(rates[8991])
    return [
        Row("calls over a Unix socket, per second of the server's CPU", calls, "", None, "at least 8,000", unit="/s"),
        Row("HTTP requests", own, "the same handler on uvicorn", bare, "at least 0.9", unit="/s"),
    ]


def _spread(bench: Bench) -> Row:
    values = {"path": "/run/bench/dev/app-pool.sock", "connections": SPREAD_CONNECTIONS}
    counts = json.loads(bench.script(SPREAD % values))
    even = SPREAD_CONNECTIONS / INSTANCES
    furthest = max(abs(count - even) for count in [*counts, *[0] * (INSTANCES - len(counts))])
    return Row(
        f"share of {INSTANCES} instances, furthest from even", 100 * furthest / even, "", None, "at most 25 %", "%"
    )
