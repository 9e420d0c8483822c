"""The known servers in containers, on a real engine: PostgreSQL and Redis are the real ones of the distribution."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.certificates import certify, shown
from tests.support.engines import SERVERS, engine, servers
from tests.support.machines import Machine
from tests.support.projects import Make, Project, environment, needing, sql

PORT = 25500
SERVE = """\
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.path.encode())

HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def machine(debian12: Machine) -> Iterator[Machine]:
    """The machine, with an engine that has the servers' image."""
    with engine(debian12):
        servers(debian12)
        yield debian12


def project(make: Make, number: int, kind: str, needs: dict[str, Any], **said: Any) -> Project:
    """A project whose one app needs a known server, in a container."""
    docker = said.pop("docker", {})
    service = {"preset": kind, "ports": {"main": PORT + number}, "docker": {"image": SERVERS, **docker}, **said}
    return needing(make, needs, infrastructure={"services": {kind: service}})


def said(project: Project, kind: str) -> list[str]:
    return [one["MESSAGE"] for one in project.machine.journal(f"{project.prefix}-dev-infra-{kind}.service")]


def test_postgres(machine: Machine, make: Make) -> None:
    it = project(make, 1, "postgres", {"database": {"extensions": ["pg_trgm"]}}, config={"maxConnections": 17})
    it.omnitron("up")
    assert sql(it, "SELECT current_user, current_database(), rolsuper FROM pg_roles WHERE rolname = current_user") == (
        "app|app|f"
    )
    assert sql(it, "SHOW max_connections; SELECT extname FROM pg_extension WHERE extname = 'pg_trgm'") == "17\npg_trgm"
    sql(it, "CREATE TABLE t AS SELECT 1 AS n")
    assert it.omnitron("infra", "psql", "--", "-XqAtc", "SELECT n FROM t").stdout.strip() == "1"
    assert "provisioned: 3 changes" in said(it, "postgres")
    machine.run("pkill", "-9", "-f", "^postgres -c max_connections=17")
    machine.wait(lambda: "provisioned: nothing to do" in said(it, "postgres"), 30, "it has come back")
    machine.wait(lambda: it.state("app") == "active", 10, "the app runs")
    assert sql(it, "SELECT n FROM t") == "1"
    password = urlsplit(environment(it)["DATABASE_URL"]).password
    assert password
    assert password not in machine.run("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '").stdout
    assert password not in "\n".join(said(it, "postgres"))
    it.omnitron("infra", "reset", "postgres", "--yes")
    machine.wait(lambda: it.state("app") == "active", 10, "the app runs")
    assert sql(it, "SELECT to_regclass('t') IS NULL") == "t"


def test_redis(machine: Machine, make: Make) -> None:
    it = project(make, 2, "redis", {"redis": True}, config={"databases": 40, "maxmemory": "12mb"})
    it.omnitron("up")
    url = urlsplit(environment(it)["REDIS_URL"])
    assert url.password

    def ask(*command: str, password: str | None = url.password) -> str:
        argv = ["env", f"REDISCLI_AUTH={password}"] if password else ["env"]
        return machine.run(*argv, "redis-cli", "-p", str(url.port), *command).stdout.strip()

    assert ask("PING", password=None).startswith("NOAUTH")
    assert ask("SET", "k", "v") == "OK"
    assert ask("CONFIG", "GET", "databases").split() == ["databases", "40"]
    assert ask("CONFIG", "GET", "maxmemory").split() == ["maxmemory", str(12 * 1024 * 1024)]
    assert it.omnitron("infra", "redis-cli", "GET", "k").stdout.strip() == "v"
    it.omnitron("restart", "infra-redis")
    assert ask("GET", "k") == "v"
    assert url.password not in machine.run("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '").stdout
    assert not any(url.password in line for line in said(it, "redis"))


def test_minio(machine: Machine, make: Make) -> None:
    needs = {"s3": {"bucket": "pictures", "quota": "1mb"}}
    it = project(make, 3, "minio", needs, docker={"entrypoint": ["/usr/bin/minio"]})
    it.omnitron("up")
    told = environment(it)
    assert (told["S3_ENDPOINT"], told["S3_BUCKET"]) == (f"http://127.0.0.1:{PORT + 3}", "pictures")
    name = f"{it.prefix}-dev-minio"
    inside = machine.run("docker", "exec", name, "sh", "-c", "cat /data/.arguments /data/pictures.quota").stdout
    assert inside.splitlines() == ["server /data --console-address :9001", f"{1024 * 1024}B"]
    keys = machine.run("docker", "exec", name, "sh", "-c", "echo $MINIO_ROOT_USER $MINIO_ROOT_PASSWORD").stdout
    assert keys.split() == [told["S3_ACCESS_KEY"], told["S3_SECRET_KEY"]]
    assert "provisioned: pictures" in said(it, "minio")


def test_the_gateway(machine: Machine, make: Make) -> None:
    docker = {"image": SERVERS}
    redis = {"preset": "redis", "ports": {"main": PORT + 4}, "docker": docker}
    gateway = {"port": PORT + 5, "host": "127.0.0.1", "image": SERVERS, "accessLog": True}
    it = make([], gateway=gateway, infrastructure={"services": {"redis": redis}})
    it.write("app.py", SERVE)
    http = {"http": {"port": PORT + 6, "host": "127.0.0.1"}}
    app = {"name": "app", "command": ["/usr/bin/python3", "app.py", str(PORT + 6)], "transports": http}
    it.define([app])

    def ask(path: str = "/api/app/x") -> tuple[str, str]:
        url = f"http://127.0.0.1:{PORT + 5}{path}"
        done = machine.run("curl", "-s", "-o", "/run/answer", "-w", "%{http_code}", url, check=False)
        return done.stdout, machine.read("/run/answer")

    assert "dev/gateway is docker at 127.0.0.1" in it.omnitron("plan", check=False).stdout
    it.omnitron("up")
    assert ask("/health") == ("200", "healthy\n")
    assert ask() == ("200", "/x")
    unit = f"{it.prefix}-dev-gateway.service"
    machine.wait(lambda: any("GET /api/app/x" in one["MESSAGE"] for one in machine.journal(unit)), 5, "it is logged")
    it.omnitron("maintenance", "on")
    machine.wait(lambda: ask()[0] == "503", 2, "it is in maintenance")
    assert "Down for maintenance" in ask()[1]
    machine.systemctl("stop", f"{it.prefix}-dev-infra-redis.service")
    machine.wait(lambda: ask() == ("200", "/x"), 3, "everybody is served when Redis is gone")
    # What is added is taken over as it runs; what nginx does not accept is not.
    first = machine.run("docker", "inspect", "-f", "{{.Id}}", f"{it.prefix}-dev-gateway").stdout
    http = {"http": {"port": PORT + 7, "host": "127.0.0.1"}}
    more = {"name": "more", "command": ["/usr/bin/python3", "app.py", str(PORT + 7)], "transports": http}
    it.define([app, more])
    it.omnitron("up")
    it.omnitron("maintenance", "off")
    machine.wait(lambda: ask("/api/more/y") == ("200", "/y"), 5, "the new app is served")
    place = f"/etc/omnitron/{it.prefix}-dev.gateway/nginx.conf"
    accepted = machine.read(place)
    machine.write(place, accepted + "nonsense;")
    assert machine.run("systemctl", "reload", unit, check=False).returncode
    assert any('unknown directive "nonsense"' in one["MESSAGE"] for one in machine.journal(unit))
    machine.write(place, accepted)
    assert ask() == ("200", "/x")
    assert machine.run("docker", "inspect", "-f", "{{.Id}}", f"{it.prefix}-dev-gateway").stdout == first
    it.omnitron("down")
    assert f"{it.prefix}-dev-gateway" not in machine.run("docker", "ps", "-a").stdout


def test_https_of_the_gateway(machine: Machine, make: Make) -> None:
    tls = {"certificate": "tls.crt", "key": "tls.key"}
    it = make([], gateway={"port": PORT + 8, "host": "127.0.0.1", "image": SERVERS, "tls": tls})
    certify(it, "first")
    it.omnitron("up")
    assert shown(machine, PORT + 8) == "first"
    name = f"{it.prefix}-dev-gateway"
    pid = machine.run("docker", "inspect", "-f", "{{.State.Pid}}", name).stdout.strip()
    status = dict(line.split(":", 1) for line in machine.read(f"/proc/{pid}/status").splitlines() if ":" in line)
    assert status["Uid"].split() == ["65534"] * 4 and int(status["CapEff"], 16) == 0
    certify(it, "renewed")
    it.omnitron("reload", "gateway")
    machine.wait(lambda: shown(machine, PORT + 8) == "renewed", 5, "the renewed certificate is shown")
