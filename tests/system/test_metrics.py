"""Figures of what really runs, as the watcher takes them."""

from __future__ import annotations

import json

from tests.support.machines import Machine
from tests.support.projects import Make

BUSY = ["sh", "-c", "while :; do :; done"]


def test_figures(machine: Machine, make: Make) -> None:
    project = make(
        [
            {"name": "busy", "command": BUSY},
            {"name": "pool", "command": ["sleep", "1000"], "instances": 2},
            {"name": "off", "command": ["sleep", "1000"], "enabled": False},
        ],
        monitoring={"metrics": {"interval": 300, "retention": 60}},
    )
    project.omnitron("up")
    project.omnitron("scale", "pool", "3")

    def busy() -> float:
        return float(json.loads(project.omnitron("metrics", "busy", "--json").stdout)["apps"]["busy"]["cpu"])

    machine.wait(lambda: busy() > 20, 15, "it is seen that it is busy")
    data = json.loads(project.omnitron("metrics", "--json").stdout)
    pool = data["apps"]["pool"]["processes"]
    assert [one["name"] for one in pool] == ["main@1", "main@2", "main@3"]
    assert all(one["memory"] > 0 and one["tasks"] == 1 and one["cpu"] < 20 for one in pool)
    assert data["apps"]["pool"]["memory"] == sum(one["memory"] for one in pool)
    assert data["apps"]["off"] == {"cpu": 0, "memory": 0, "processes": []}
    assert data["totals"]["memory"] == sum(app["memory"] for app in data["apps"].values())
    text = project.omnitron("metrics").stdout
    assert "█" in text and "main@3" in text
    (line,) = project.omnitron("top", "-n", "1", "--json").stdout.splitlines()
    assert next(iter(json.loads(line)["apps"])) == "busy"


def test_prometheus_reads_the_socket(machine: Machine, make: Make) -> None:
    project = make([{"name": "app", "command": ["sleep", "1000"]}])
    project.omnitron("up")
    path = "/run/omnitron/watcher.sock"
    program = "\n".join(
        [
            "import socket",
            "s = socket.socket(socket.AF_UNIX)",
            f"s.connect({path!r})",
            r"s.sendall(b'GET /metrics HTTP/1.1\r\n\r\n')",
            "while part := s.recv(65536): print(part.decode(), end='')",
        ]
    )

    def text() -> str:
        return machine.run("python3", "-c", program, user="nobody").stdout

    labels = f'{{project="{project.prefix}",stack="dev",app="app",process="main"}}'
    machine.wait(lambda: f"omnitron_app_memory_bytes{labels} " in text(), 15, "the app is listed")
    assert "# TYPE omnitron_app_restarts_total counter" in text()


def test_prometheus_reads_a_port_with_a_token(machine: Machine, make: Make) -> None:
    port = 9464
    project = make([{"name": "app", "command": ["sleep", "1000"]}])
    project.definition["monitoring"] = {"metrics": {"prometheus": {"port": port, "tokenFile": "token"}}}
    project.define([{"name": "app", "command": ["sleep", "1000"]}])
    missing = project.omnitron("generate", check=False)
    assert missing.returncode != 0 and "openssl rand" in missing.stderr
    project.write("token", "s3cret\n", mode=0o600)
    project.omnitron("up")
    program = "\n".join(
        [
            "import sys, urllib.request, urllib.error",
            f"request = urllib.request.Request('http://127.0.0.1:{port}/metrics')",
            "request.add_header('Authorization', 'Bearer ' + sys.argv[1])",
            "try: print(urllib.request.urlopen(request, timeout=5).read().decode())",
            "except urllib.error.HTTPError as error: print(error.code)",
        ]
    )

    def text(token: str) -> str:
        return machine.run("python3", "-c", program, token, user="nobody", check=False).stdout

    machine.wait(lambda: 'app="app"' in text("s3cret"), 15, "the app is listed")
    assert text("guess").strip() == "401"
    machine.run("chmod", "644", f"{project.folder}/token")
    assert text("s3cret").strip() == "401"
    lines = [entry["MESSAGE"] for entry in machine.journal("omnitron-watcher.service")]
    assert any("other users can read it: chmod 600" in line for line in lines)


def test_two_projects_may_have_an_app_of_one_name(machine: Machine, make: Make) -> None:
    first, second = (make([{"name": "app", "command": ["sleep", "1000"]}]) for _ in range(2))
    first.omnitron("up")
    second.omnitron("up")
    names = {f"{project.prefix}/dev/app" for project in (first, second)}
    assert set(json.loads(first.omnitron("metrics", "--json").stdout)["apps"]) == names
    assert {app["name"] for app in json.loads(first.omnitron("status", "--json").stdout)["apps"]} >= names


def test_no_watcher_is_said(machine: Machine, make: Make) -> None:
    project = make([{"name": "app", "command": ["sleep", "1000"]}])
    project.omnitron("up")
    machine.systemctl("stop", "omnitron-watcher.service")
    said = project.omnitron("metrics", check=False)
    machine.systemctl("start", "omnitron-watcher.service")
    assert said.returncode == 1
    assert "does it run? systemctl status omnitron-watcher" in said.stderr
