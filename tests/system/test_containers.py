"""Services in containers, on a real docker engine in the machine, with an image made of one static program."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.engines import ENGINE, IMAGE, engine
from tests.support.machines import Machine
from tests.support.projects import Make, Project

PORT = 25000
# The first process of a container ignores what it does not ask for.
SERVE = "trap 'exit 0' TERM; echo $GREETING >/data/index.html; echo serving; busybox httpd -f -p 80 -h /data & wait"


@pytest.fixture(scope="module")
def machine(debian12: Machine) -> Iterator[Machine]:
    """The machine, with an engine."""
    with engine(debian12):
        yield debian12


def project(make: Make, number: int, **docker: Any) -> Project:
    """A project whose one app needs the service `files`, a web server in a container."""
    made = make([{"name": "app", "bootstrap": "app/bootstrap.json"}])
    process = {"name": "main", "command": ["/bin/sleep", "infinity"]}
    made.write("app/bootstrap.json", json.dumps({"name": "app", "processes": [process]}))
    describe(made, number, **docker)
    return made


def describe(project: Project, number: int, interval: str = "500ms", **docker: Any) -> None:
    files = {
        "ports": {"http": 80},
        "env": {"FILES_URL": "http://${host}:${port:http}"},
        "healthCheck": {
            "type": "http",
            "target": "/",
            "interval": interval,
            "timeout": "2s",
            "retries": 2,
            "startPeriod": 0,
        },
        "docker": {
            "image": IMAGE,
            "command": ["sh", "-c", SERVE],
            "portMappings": {"80": PORT + number},
            "environment": {"GREETING": "hello"},
            "volumes": ["data:/data"],
            **docker,
        },
    }
    project.write("app/config/default.json", json.dumps({"omnitron": {"infrastructure": {"files": files}}}))


def unit(project: Project) -> str:
    return f"{project.prefix}-dev-infra-app_files.service"


def name(project: Project) -> str:
    return f"{project.prefix}-dev-app-files"


def get(project: Project, number: int) -> str:
    return project.machine.run("curl", "-s", f"http://127.0.0.1:{PORT + number}/", check=False).stdout.strip()


def inspected(project: Project, field: str) -> str:
    return project.machine.run("docker", "inspect", "-f", f"{{{{{field}}}}}", name(project), check=False).stdout.strip()


def test_a_container_is_a_unit_of_the_stack(machine: Machine, make: Make) -> None:
    it = project(make, 1)
    it.omnitron("up")
    assert get(it, 1) == "hello"
    environ = machine.read(f"/proc/{it.pid('app')}/environ")
    assert f"FILES_URL=http://127.0.0.1:{PORT + 1}\0" in environ
    assert inspected(it, ".HostConfig.CgroupParent") == f"{it.prefix}-dev.slice"
    assert it.prefix in machine.run("cat", f"/proc/{inspected(it, '.State.Pid')}/cgroup").stdout
    assert any(one["MESSAGE"] == "serving" for one in machine.journal(unit(it)))
    (row,) = json.loads(it.omnitron("infra", "status", "--json").stdout)
    assert (row["provider"], row["status"]) == ("docker", "online")
    it.omnitron("down")
    assert inspected(it, ".State.Status") == "exited"
    it.omnitron("down", "--remove")
    assert inspected(it, ".Id") == ""
    assert f"{name(it)}-data" in machine.run("docker", "volume", "ls", "-q").stdout
    it.omnitron("generate")
    it.omnitron("down", "--remove", "--volumes")
    assert f"{name(it)}-data" not in machine.run("docker", "volume", "ls", "-q").stdout


def test_a_changed_definition_makes_it_anew_and_keeps_its_volume(machine: Machine, make: Make) -> None:
    it = project(make, 2)
    it.omnitron("up")
    machine.run("docker", "exec", name(it), "sh", "-c", "echo kept >/data/kept")
    before = inspected(it, ".Id")
    it.omnitron("restart", "infra-app-files")
    assert inspected(it, ".Id") == before
    describe(it, 2, environment={"GREETING": "changed"})
    it.omnitron("up")
    assert inspected(it, ".Id") != before
    assert get(it, 2) == "changed"
    assert machine.run("docker", "exec", name(it), "cat", "/data/kept").stdout == "kept\n"


def test_what_is_removed_or_killed_by_hand_comes_back(machine: Machine, make: Make) -> None:
    it = project(make, 3)
    it.omnitron("up")
    for command in ("rm -f", "kill"):
        before = inspected(it, ".Id"), inspected(it, ".State.StartedAt")
        machine.run("sh", "-c", f"docker {command} {name(it)}")
        machine.wait(lambda: get(it, 3) == "hello", 20, "it serves again")
        assert (inspected(it, ".Id"), inspected(it, ".State.StartedAt")) != before


def test_one_that_hangs_is_ended_from_outside(machine: Machine, make: Make) -> None:
    it = project(make, 4)
    it.omnitron("up")
    before = inspected(it, ".State.StartedAt")
    machine.run("pkill", "-STOP", "--parent", inspected(it, ".State.Pid"))
    machine.wait(lambda: inspected(it, ".State.StartedAt") != before, 30, "it was started anew")
    machine.wait(lambda: get(it, 4) == "hello", 10, "it serves again")


def test_the_engine_may_restart(machine: Machine, make: Make) -> None:
    it = project(make, 5)
    describe(it, 5, interval="30s")
    it.omnitron("up")
    machine.systemctl("stop", ENGINE)
    machine.run("sh", "-c", "pkill -9 -f containerd-shim", check=False)
    machine.wait(lambda: "does not answer" in machine.show(unit(it), "StatusText"), 40, "its status says so")
    assert machine.show(unit(it), "NRestarts") == "0"
    machine.systemctl("start", ENGINE)
    machine.wait(lambda: get(it, 5) == "hello", 40, "it serves again")


def test_an_engine_that_is_down_is_waited_for(machine: Machine, make: Make) -> None:
    it = project(make, 6)
    it.omnitron("generate")
    machine.systemctl("stop", ENGINE)
    try:
        machine.systemctl("start", "--no-block", it.target)
        machine.wait(lambda: "does not answer" in machine.show(unit(it), "StatusText"), 20, "its status says so")
        time.sleep(3)
        assert machine.show(unit(it), "NRestarts") == "0"
        assert "does not answer" in it.omnitron("status", check=False).stdout
    finally:
        machine.systemctl("start", ENGINE)
    machine.wait(lambda: it.state("app") == "active", 30, "the app starts once it is there")


def test_what_the_engine_refuses_is_told(machine: Machine, make: Make) -> None:
    it = project(make, 7, image="nowhere.invalid/none:1")
    it.omnitron("up", "--timeout", "3", check=False)
    said = [one["MESSAGE"] for one in machine.journal(unit(it))]
    assert any(line.startswith(f"cannot run the container {name(it)}: ") for line in said), said
    other = project(make, 8)
    machine.run("docker", "create", "--name", name(other), IMAGE, "sh")
    other.omnitron("up", "--timeout", "3", check=False)
    said = [one["MESSAGE"] for one in machine.journal(unit(other))]
    assert f"cannot use the container {name(other)}: somebody else made it; rename or remove it" in said


def test_a_service_that_goes_takes_its_container_with_it(machine: Machine, make: Make) -> None:
    it = project(make, 10)
    it.omnitron("up")
    assert inspected(it, ".State.Status") == "running"
    it.write("app/config/default.json", json.dumps({"omnitron": {}}))
    it.omnitron("up")
    assert inspected(it, ".Id") == ""
    assert f"{name(it)}-data" in machine.run("docker", "volume", "ls", "-q").stdout


def test_an_image_is_built(machine: Machine, make: Make) -> None:
    build = {"context": "image", "args": {"WORD": "built"}, "tag": "omnitron-built:1"}
    # Bounds on CPU and memory take controllers, which this machine has not.
    it = project(make, 11, image=None, build=build, environment={}, resources={"shmSize": "8mb"})
    it.write("image/Dockerfile", f"FROM {IMAGE}\nARG WORD\nENV GREETING=$WORD\n")
    it.omnitron("up")
    assert get(it, 11) == "built"
    assert inspected(it, ".HostConfig.ShmSize") == str(8 << 20)
    it.write("image/Dockerfile", f"FROM {IMAGE}\nENV GREETING=anew\n")
    it.omnitron("restart", "infra-app-files")
    assert get(it, 11) == "anew"
