"""The watcher on the bus, as `busctl` alone sees it."""

from __future__ import annotations

import json
from typing import Any

from tests.support.machines import Machine
from tests.support.projects import Make, Project

NAME, PATH = "dev.omnitron.Watcher1", "/dev/omnitron/Watcher1"
SLEEP = ["sleep", "1000"]
ONCE = {"maxRestarts": 1, "backoff": {"initial": 50, "max": 50}}


def call(machine: Machine, method: str, *args: str, user: str | None = None, check: bool = True) -> Any:
    """What a method answers; the error's text where it does not."""
    done = machine.run("busctl", "--json=short", "call", NAME, PATH, NAME, method, *args, check=check, user=user)
    return json.loads(done.stdout)["data"][0] if done.stdout else done.stderr.strip()


def read(machine: Machine, name: str, user: str | None = None, check: bool = True) -> Any:
    done = machine.run("busctl", "--json=short", "get-property", NAME, PATH, NAME, name, check=check, user=user)
    return json.loads(done.stdout)["data"] if done.stdout else done.stderr.strip()


def app(project: Project, name: str) -> list[Any]:
    """Status, health, restarts and note of an app."""
    rows = read(project.machine, "Apps")
    return next((row[2:] for row in rows if row[:2] == [f"{project.prefix}-dev", name]), [])


def up(make: Make) -> Project:
    project = make(
        [{"name": "a", "command": SLEEP}, {"name": "b", "command": SLEEP, "restartPolicy": ONCE}],
    )
    project.omnitron("up")
    project.machine.wait(lambda: app(project, "b")[:2] == ["online", "healthy"], what="b is told of")
    return project


def give_up(project: Project) -> None:
    machine = project.machine

    def kill() -> None:
        machine.wait(lambda: project.state("b") == "active")
        before = project.pid("b")
        machine.run("kill", "-9", str(before))
        machine.wait(lambda: project.pid("b") != before)

    kill()
    kill()
    machine.wait(lambda: project.state("b") == "failed")


def test_properties(machine: Machine, make: Make) -> None:
    project = up(make)
    assert read(machine, "Version")
    stem = f"{project.prefix}-dev"
    assert [stem, project.prefix, "dev", "active", "healthy"] in read(machine, "Stacks")
    give_up(project)
    machine.wait(lambda: app(project, "b")[:2] == ["crashed", "unhealthy"], what="the crash is told of")
    assert app(project, "b")[2] == 1
    assert "given up after 1 restart" in app(project, "b")[3]
    (condition,) = [row for row in read(machine, "Conditions") if row[0] == stem]
    assert condition[1:5] == ["b", project.unit("b"), "givenUp", ""]
    assert condition[5] == app(project, "b")[3]
    (last,) = [row[1:] for row in read(machine, "LastExits") if row[0] == project.unit("b")]
    assert last[1:4] == ["signal", "killed", "KILL"]
    assert "given up after 1 restart" in last[4]
    project.end()
    machine.wait(lambda: not app(project, "b"), what="what is removed is not told of")


def test_what_systemd_alone_restarts_is_told_of_too(machine: Machine, make: Make) -> None:
    at_once = {"restartPolicy": {"maxRestarts": 9, "backoff": {"initial": 0}}}
    project = make([{"name": "a", "command": SLEEP, **at_once}])
    project.omnitron("up")
    machine.wait(lambda: app(project, "a")[:2] == ["online", "healthy"], what="a is told of")
    pid = project.pid("a")
    machine.run("kill", "-9", str(pid))
    # How it ended, systemd forgets with the next start.
    machine.wait(lambda: app(project, "a")[2:3] == [1], what="its restart is told of")
    text = machine.run("curl", "-s", "--unix-socket", "/run/omnitron/watcher.sock", "http://x/metrics").stdout
    told = [line for line in text.splitlines() if "restarts_total{" in line and project.prefix in line]
    assert len(told) == 1 and told[0].endswith(" 1")


HOSTED = """\
import pathlib
from omnitron import service

@service
class Idle:
    async def nothing(self) -> None:
        pass

def health():
    return {"status": "degraded" if pathlib.Path("/run/degraded").exists() else "healthy", "message": "so so"}
"""


def test_what_a_process_says_of_itself_is_told_of(machine: Machine, make: Make) -> None:
    machine.run("rm", "-f", "/run/degraded")
    project = make([{"name": "a", "bootstrap": "a.json"}])
    project.write("a.py", HOSTED)
    health = {"interval": "300ms", "timeout": "300ms"}
    process = {"name": "p", "module": "./a.py", "health": health, "hooks": {"onHealthCheck": "a.py:health"}}
    project.write("a.json", json.dumps({"name": "a", "processes": [process]}))
    project.omnitron("up")
    machine.wait(lambda: app(project, "a")[:2] == ["online", "healthy"], what="it is healthy")
    machine.run("touch", "/run/degraded")
    machine.wait(lambda: app(project, "a")[:2] == ["online", "degraded"], what="it is degraded")
    assert "so so" in app(project, "a")[3]
    machine.run("rm", "/run/degraded")
    machine.wait(lambda: app(project, "a")[:2] == ["online", "healthy"], what="it is healthy again")


def test_signals(machine: Machine, make: Make) -> None:
    project = up(make)
    script = f"timeout 4 busctl --json=short monitor --match \"sender='{NAME}'\" & sleep 1; kill -9 $1; wait"
    done = machine.run("sh", "-c", script, "sh", str(project.pid("a")), check=False)
    sent = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    told = {(one.get("member"), *map(str, one["payload"]["data"][:3])) for one in sent if one["type"] == "signal"}
    exits = [one["payload"]["data"] for one in sent if one.get("member") == "Exited"]
    assert [(exit[0], *exit[2:]) for exit in exits] == [(project.unit("a"), "signal", "killed", "KILL", "")]
    assert ("AppChanged", f"{project.prefix}-dev", "a", "online") in told
    assert any(one.get("member") == "PropertiesChanged" for one in sent)


def test_methods(machine: Machine, make: Make) -> None:
    project = up(make)
    (figures,) = call(machine, "GetMetrics", "s", "dev/a")
    assert figures["unit"]["data"] == project.unit("a")
    assert figures["memory"]["data"] > 0
    assert len(call(machine, "GetMetrics", "s", "")) == 2
    give_up(project)
    assert call(machine, "Reset", "s", "dev/b") == [project.unit("b")]
    machine.wait(lambda: project.state("b") == "active")
    machine.wait(lambda: app(project, "b")[:2] == ["online", "healthy"])


def test_bad_calls_are_refused(machine: Machine, make: Make) -> None:
    up(make)
    assert "cannot read" in call(machine, "Reset", "s", "a@" + "1" * 5000, check=False)
    assert "cannot find 'nobody'" in call(machine, "Reset", "s", "nobody", check=False)
    assert "Reset takes 's', not 'u'" in call(machine, "Reset", "u", "1", check=False)
    assert "there is no method" in call(machine, "Destroy", check=False)
    assert "Nothing" in read(machine, "Nothing", check=False)
    done = machine.run("busctl", "set-property", NAME, PATH, NAME, "Version", "s", "9", check=False)
    assert "read-only" in done.stderr
    assert read(machine, "Version") != "9"


# As fast as they go, and half of them want no answer, until a full socket ends the caller's own connection.
FLOOD = """\
import asyncio, os
from dbus_fast import BusType, Message, MessageFlag
from dbus_fast.aio import MessageBus

def ping(number):
    flags = MessageFlag.NO_REPLY_EXPECTED if number % 2 else MessageFlag.NONE
    to = {"destination": "dev.omnitron.Watcher1", "path": "/dev/omnitron/Watcher1"}
    return Message(**to, interface="org.freedesktop.DBus.Peer", member="Ping", flags=flags)

async def main():
    bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    for number in range(20000):
        try:
            await bus.send(ping(number))
        except OSError:
            break
    print(number, flush=True)
    os._exit(0)

asyncio.run(main())
"""


def test_a_flood_of_calls_does_no_harm(machine: Machine, make: Make) -> None:
    project = up(make)
    watcher = machine.show("omnitron-watcher.service", "MainPID")
    sent = 0
    while sent < 20_000:
        burst = int(machine.run(*machine.python, "-c", FLOOD).stdout)
        assert burst > 100
        sent += burst
    before = project.pid("a")
    machine.run("kill", "-9", str(before))
    machine.wait(lambda: app(project, "a")[:3] == ["online", "healthy", 1], 15, "it goes on telling")
    assert machine.show("omnitron-watcher.service", "MainPID") == watcher


def test_who_may_ask(machine: Machine, make: Make) -> None:
    up(make)
    machine.run("useradd", "--no-create-home", "asker")
    try:
        assert "denied" in str(read(machine, "Version", user="asker", check=False)).lower()
        assert "denied" in str(call(machine, "GetMetrics", "s", "", user="asker", check=False)).lower()
        machine.run("usermod", "--append", "--groups=omnitron", "asker")
        assert len(call(machine, "GetMetrics", "s", "", user="asker")) == 2
    finally:
        machine.run("userdel", "asker")
    bus = "org.freedesktop.DBus"
    take = ("busctl", "call", bus, "/", bus, "RequestName", "su", NAME, "4")
    assert "denied" in machine.run(*take, user="www-data", check=False).stderr.lower()


def test_it_is_there_again_after_the_bus(machine: Machine, make: Make) -> None:
    project = up(make)
    machine.restart_bus()
    machine.wait(lambda: machine.run("busctl", "status", NAME, check=False).returncode == 0, what="the name is back")
    assert app(project, "a")[:2] == ["online", "healthy"]


def test_the_last_stack_takes_the_watcher_with_it(machine: Machine, make: Make) -> None:
    first, last = up(make), up(make)
    first.omnitron("down", "--remove")
    assert machine.show("omnitron-watcher.service", "ActiveState") == "active"
    last.omnitron("down", "--remove")
    assert machine.show("omnitron-watcher.service", "LoadState") == "not-found"
    assert machine.show("omnitron-watcher.service", "ActiveState") == "inactive"
    for path in ("dbus-1/system.d/dev.omnitron.Watcher1.conf", "sysusers.d/omnitron.conf"):
        assert machine.run("test", "-e", f"/etc/{path}", check=False).returncode == 1
