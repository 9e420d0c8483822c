"""A stack with PostgreSQL and Redis from nothing to healthy; and the gateway beside an nginx.conf written by hand."""

from __future__ import annotations

import json
import time

from tests.bench.machine import Bench, booted
from tests.bench.table import Row, median

RUNS = 5
UPSTREAM, GATEWAY, BY_HAND = 24001, 24002, 24003
NEEDS = {"omnitron": {"database": True, "redis": True}}

# The least that an administrator would write for the same.
NGINX = f"""\
worker_processes auto;
worker_rlimit_nofile 16384;
pid /run/by-hand.pid;
error_log stderr warn;
daemon off;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    upstream app {{ server 127.0.0.1:{UPSTREAM}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{BY_HAND};
        location /api/app/ {{
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_pass http://app/;
        }}
    }}
}}
"""
# What both pass on to: nginx again, so that the upstream is not what is measured.
STATIC = f"""\
pid /run/upstream.pid;
error_log stderr warn;
daemon off;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000;
    server {{ listen 127.0.0.1:{UPSTREAM}; location / {{ return 200 "hello"; }} }}
}}
"""
# Requests per second over connections that are kept, in turns, so that both see the same noise.
LOAD = """\
import asyncio, time
async def client(port, until, counts):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    message = b"GET /api/app/ HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"
    while time.monotonic() < until:
        writer.write(message * 16)
        for _ in range(16):
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            await reader.readexactly(5)
            counts[0] += 1
    writer.close()
async def run(port, seconds):
    counts = [0]
    until = time.monotonic() + seconds
    await asyncio.gather(*(client(port, until, counts) for _ in range(8)))
    return counts[0] / seconds
found = {{port: [] for port in {ports!r}}}
for _ in range({runs}):
    for port in {ports!r}:
        found[port].append(asyncio.run(run(port, 2)))
print(repr(found))
"""


def measure() -> list[Row]:
    """Return the rows of both."""
    with booted() as bench:
        return [*_up(bench), *_gateway(bench)]


def _up(bench: Bench) -> list[Row]:
    process = {"name": "main", "command": ["/bin/sleep", "infinity"]}
    bench.write("/srv/bench/app/bootstrap.json", json.dumps({"name": "app", "processes": [process]}))
    bench.write("/srv/bench/app/config/default.json", json.dumps(NEEDS))
    app = {"name": "app", "bootstrap": "app/bootstrap.json", "user": "www-data"}
    stacks = {"dev": {"type": "local", "settings": {"portOffsets": {"postgres": 20000, "redis": 20000}}}}
    folder = bench.project([app], stacks=stacks)
    first, again = [], []
    for _ in range(RUNS):
        for times in (first, again):
            began = time.monotonic()
            bench.run(bench.python, "-m", "omnitron", "up", cwd=folder)
            times.append(1000 * (time.monotonic() - began))
            bench.run(bench.python, "-m", "omnitron", "down", cwd=folder)
        bench.run("rm", "-rf", "/var/lib/bench/dev")
    what = "up with PostgreSQL and Redis until healthy"
    return [
        Row(f"{what}, the first time", median(first), "ms"),
        Row(f"{what}, again", median(again), "ms"),
    ]


def _gateway(bench: Bench) -> list[Row]:
    for name, text in (("by-hand", NGINX), ("upstream", STATIC)):
        bench.write(f"/srv/bench/{name}.conf", text)
        unit = f"[Service]\nUser=root\nExecStart=/usr/sbin/nginx -c /srv/bench/{name}.conf\n"
        bench.write(f"/run/systemd/system/{name}.service", unit)
    app = {
        "name": "app",
        "command": ["/bin/sleep", "infinity"],
        "user": "www-data",
        "transports": {"http": {"port": UPSTREAM, "host": "127.0.0.1"}},
    }
    folder = bench.project([app], gateway={"port": GATEWAY, "host": "127.0.0.1"})
    bench.run("systemctl", "daemon-reload")
    bench.run("systemctl", "start", "by-hand", "upstream")
    bench.run(bench.python, "-m", "omnitron", "up", cwd=folder)
    found = eval(bench.script(LOAD.format(ports=[GATEWAY, BY_HAND], runs=RUNS)))
    ours, theirs = median(found[GATEWAY]), median(found[BY_HAND])
    return [Row("gateway, requests per second", ours, "/s", "nginx.conf by hand", theirs)]
