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
        Row(f"{what}, the first time", median(first)),
        Row(f"{what}, again", median(again)),
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
    found: dict[int, list[float]] = {GATEWAY: [], BY_HAND: []}
    for _ in range(RUNS):
        # In turns, so that both see the same noise.
        for port, rates in found.items():
            said = bench.run("wrk", "-t1", "-c16", "-d3s", f"http://127.0.0.1:{port}/api/app/")
            assert "Non-2xx" not in said and "Socket errors" not in said, said
            rates.append(float(said.partition("Requests/sec:")[2].split()[0]))
    ours, theirs = median(found[GATEWAY]), median(found[BY_HAND])
    return [Row("gateway", ours, "nginx.conf by hand", theirs, "0.95 of it", "requests/s")]
