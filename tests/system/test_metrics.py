"""Figures of what really runs, as the watcher takes them."""

from __future__ import annotations

import json

from machines import Machine
from projects import Make

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


def test_no_watcher_is_said(machine: Machine, make: Make) -> None:
    project = make([{"name": "app", "command": ["sleep", "1000"]}])
    project.omnitron("up")
    machine.systemctl("stop", "omnitron-watcher.service")
    said = project.omnitron("metrics", check=False)
    machine.systemctl("start", "omnitron-watcher.service")
    assert said.returncode == 1
    assert "does it run? systemctl status omnitron-watcher" in said.stderr
