"""Supervision by generated units, with no process of ours running: crashes, budgets, gates, critical apps."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.support.machines import Machine
from tests.support.projects import Make, Project

SLEEP = ["sleep", "1000"]
OFF = "/etc/systemd/system/omnitron-watcher.service.d/off.conf"
LAST = {"delay": 0, "maxRestarts": 0}
FAST = {"backoff": {"type": "fixed", "initial": 100, "max": 100}}


@pytest.fixture(autouse=True)
def _no_watcher(machine: Machine) -> Iterator[None]:
    """All of this holds without any daemon."""
    machine.write(OFF, "[Unit]\nConditionPathExists=/nowhere\n")
    machine.systemctl("daemon-reload")
    machine.systemctl("stop", "omnitron-watcher.service", check=False)
    yield
    assert machine.show("omnitron-watcher.service", "ActiveState") == "inactive"
    machine.run("rm", OFF)
    machine.systemctl("daemon-reload")


def starts(machine: Machine, unit: str) -> list[float]:
    """Seconds since boot at which a service's main process was started."""
    entries = machine.journal(unit)
    return [int(e["__MONOTONIC_TIMESTAMP"]) / 1e6 for e in entries if e["MESSAGE"].startswith("Started ")]


def stop_order(machine: Machine, project: Project, *apps: str) -> list[str]:
    """The apps in the order in which they had stopped, as the journal has it: units are unloaded by then."""
    ended: dict[str, int] = {}
    for app in apps:
        entries = [e for e in machine.journal(project.unit(app)) if e["MESSAGE"].startswith("Stopped ")]
        ended[app] = int(entries[-1]["__MONOTONIC_TIMESTAMP"])
    return sorted(apps, key=ended.__getitem__)


def crashes(machine: Machine, unit: str) -> list[float]:
    """Seconds since boot at which systemd saw a service's main process end badly."""
    entries = machine.journal(unit)
    ended = ("Main process exited", "A process of this unit has been killed")
    return [int(e["__MONOTONIC_TIMESTAMP"]) / 1e6 for e in entries if ended[0] in e["MESSAGE"]]


def test_killed_app_comes_back(machine: Machine, make: Make) -> None:
    project = make([{"name": "app", "command": SLEEP}], supervision={"backoff": {"initial": 200}})
    project.omnitron("up")
    before = project.pid("app")
    machine.run("kill", "-9", str(before))
    machine.wait(lambda: project.state("app") == "active" and project.pid("app") not in (0, before), 10, "it is back")
    assert project.status()["app"]["restarts"] == 1


def test_crash_loop_with_the_default_policy(machine: Machine, make: Make) -> None:
    """Five restarts, after 1, 2, 4, 8 and 16 s; the sixth crash is final, and OnFailure= fires once."""
    project = make(
        [
            {
                "name": "app",
                "command": ["sh", "-c", "exit 3"],
                "systemd": {"unit": {"OnFailure": "failure-counter.service"}},
            }
        ]
    )
    counter = "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo fired >>/run/failures'\n"
    machine.write("/run/systemd/system/failure-counter.service", counter)
    machine.run("rm", "-f", "/run/failures")
    project.omnitron("generate")
    machine.systemctl("start", project.target)
    unit = project.unit("app")
    machine.wait(lambda: project.state("app") == "failed", 60, "the app is given up")
    ended = crashes(machine, unit)
    assert len(ended) == 6
    delays = [after - before for before, after in pairwise(ended)]
    for delay, wanted in zip(delays, [1, 2, 4, 8, 16], strict=True):
        # The rule is 5 % plus 60 ms for the delay; process creation on a busy machine comes on top.
        assert wanted <= delay <= wanted * 1.05 + 0.5 * machine.slower, delays
    assert unit in machine.systemctl("list-units", "--failed", "--plain", "--no-legend")
    time.sleep(1)
    assert machine.read("/run/failures") == "fired\n"
    assert project.status()["app"]["status"] == "crashed"
    # The operator's next start works, with a budget of its own.
    machine.systemctl("start", unit, check=False)
    machine.wait(lambda: len(crashes(machine, unit)) >= 8, 15, "it is restarted again")
    machine.systemctl("stop", unit)


def test_the_window_slides(machine: Machine, make: Make) -> None:
    """Crashes farther apart than the budget allows are never final; a burst is, after however long a life."""
    supervision = {"maxRestarts": 2, "window": 6000, **FAST}
    project = make([{"name": "app", "command": SLEEP}], supervision=supervision)
    project.omnitron("up")
    for _ in range(5):
        before = project.pid("app")
        machine.run("kill", "-9", str(before))
        machine.wait(lambda before=before: project.pid("app") not in (0, before), 5, "it is back")  # type: ignore[misc]
        time.sleep(3.1)
    assert project.state("app") == "active"
    time.sleep(3)
    for _ in range(3):
        before = machine.wait(lambda: project.pid("app"), 5, "it runs")
        machine.run("kill", "-9", str(before))
        machine.wait(lambda before=before: project.pid("app") != before, 5, "it has ended")  # type: ignore[misc]
    machine.wait(lambda: project.state("app") == "failed", 5, "the third crash in the window is final")


def test_operator_restarts_cost_nothing(machine: Machine, make: Make) -> None:
    project = make([{"name": "app", "command": SLEEP}])
    project.omnitron("up")
    for _ in range(10):
        machine.systemctl("restart", project.unit("app"))
    assert project.state("app") == "active"
    assert project.status()["app"]["restarts"] == 0


def waiting(machine: Machine, make: Make) -> Project:
    """An app that has crashed, and waits for half a minute."""
    supervision = {"backoff": {"type": "fixed", "initial": "30s", "max": "30s"}}
    project = make([{"name": "app", "command": SLEEP}], supervision=supervision)
    project.omnitron("up")
    machine.run("kill", "-9", str(project.pid("app")))
    machine.wait(lambda: machine.show(project.unit("app"), "SubState") == "start-pre", 5, "it waits")
    return project


def test_stop_during_a_delay_is_immediate(machine: Machine, make: Make) -> None:
    project = waiting(machine, make)
    before = time.monotonic()
    machine.systemctl("stop", project.unit("app"))
    assert time.monotonic() - before < 15
    assert project.state("app") == "inactive"
    before = time.monotonic()
    machine.systemctl("start", project.unit("app"))
    assert time.monotonic() - before < 20
    assert project.state("app") == "active"


def test_clean_exit_is_not_a_crash(machine: Machine, make: Make) -> None:
    project = make(
        [
            {"name": "app", "command": ["true"]},
            {"name": "again", "command": ["sh", "-c", "sleep 0.3"], "restartPolicy": {"restart": "always", **FAST}},
        ]
    )
    project.omnitron("generate")
    machine.systemctl("start", project.target)
    machine.wait(lambda: project.state("app") == "inactive", 5, "it has ended")
    machine.wait(lambda: len(starts(machine, project.unit("again"))) > 2, 10, "it starts again and again")
    assert len(starts(machine, project.unit("app"))) == 1


def test_final_failure_of_a_critical_app_ends_the_stack(machine: Machine, make: Make) -> None:
    """In reverse order, with no process of ours; status says who it was."""
    policy = {"maxRestarts": 1, **FAST}
    project = make(
        [
            {"name": "base", "command": SLEEP},
            {"name": "core", "command": ["sh", "-c", "sleep 0.5; exit 1"], "critical": True, "restartPolicy": policy},
            {"name": "edge", "command": SLEEP, "dependsOn": ["base"]},
        ]
    )
    project.omnitron("generate")
    machine.systemctl("start", project.target)
    machine.wait(lambda: project.state("base") == "inactive" and project.state("edge") == "inactive", 15, "it is down")
    assert machine.show(project.target, "ActiveState") == "inactive"
    assert stop_order(machine, project, "base", "edge") == ["edge", "base"]
    text = project.omnitron("status", check=False).stdout
    assert "ended by the final failure of its critical app core" in text
    # Once it is mended, the stack starts again.
    project.define([{"name": name, "command": SLEEP} for name in ("base", "core", "edge")])
    project.omnitron("up")
    assert project.status()["core"]["status"] == "online"


SLOW_SERVER = """\
import http.server, sys, time
time.sleep(float(sys.argv[2]))
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def test_dependent_waits_for_health(machine: Machine, make: Make) -> None:
    """It starts once its dependency answers, and keeps its PID when that crashes later."""
    project = make([])
    server = project.write("server.py", SLOW_SERVER)
    project.define(
        [
            {
                "name": "db",
                "command": ["/usr/bin/python3", server, "8931", "1.5"],
                "health": {"probe": {"type": "http", "target": "http://127.0.0.1:8931/"}},
                "restartPolicy": FAST,
            },
            {"name": "web", "command": SLEEP, "dependsOn": ["db"]},
        ]
    )
    project.omnitron("generate")
    machine.systemctl("start", "--no-block", project.target)
    machine.wait(lambda: project.state("db") == "activating", 5, "db starts")
    assert project.state("web") == "inactive"
    machine.wait_for_unit(project.unit("web"), 20)
    (db,) = starts(machine, project.unit("db"))
    (web,) = starts(machine, project.unit("web"))
    assert web >= db
    before, server_pid = project.pid("web"), project.pid("db")
    machine.run("kill", "-9", str(server_pid))
    machine.wait(lambda: project.pid("db") not in (0, server_pid) and project.state("db") == "active", 15, "db is back")
    assert project.pid("web") == before


def test_dependents_of_what_never_is_healthy_stay_blocked(machine: Machine, make: Make) -> None:
    """Transitively, and status says by whom; the next start of the root starts them all."""
    policy = {"maxRestarts": 1, **FAST}
    project = make([])
    gate_file = f"{project.folder}/open"
    script = project.write("db.sh", f"test -e {gate_file} || exit 1\nexec sleep 1000\n")
    apps = [
        {
            "name": "db",
            "command": ["sh", script],
            "restartPolicy": policy,
            "health": {"probe": {"type": "command", "command": ["test", "-e", gate_file]}},
        },
        {"name": "api", "command": SLEEP, "dependsOn": ["db"]},
        {"name": "web", "command": SLEEP, "dependsOn": ["api"]},
    ]
    project.define(apps)
    up = project.omnitron("up", check=False)
    assert up.returncode == 1
    assert "blocked by db" in up.stderr
    status = project.status()
    assert (status["db"]["status"], status["api"]["status"], status["web"]["status"]) == (
        "crashed",
        "stopped",
        "stopped",
    )
    assert project.omnitron("status", check=False).stdout.count("blocked by db") == 2
    assert status["web"]["condition"] == {"kind": "blocked", "by": "dev/db", "text": "blocked by db"}
    (cause,) = json.loads(project.omnitron("why", "web", "--json").stdout)
    assert cause["condition"]["kind"] == "givenUp"
    assert [(one["app"], one["kind"]) for one in cause["affects"]] == [("api", "blocked"), ("web", "blocked")]
    project.write("open", "")
    project.omnitron("start", "db")
    machine.wait(lambda: project.state("web") == "active", 10, "the chain runs")


def test_gate_waits_for_a_second_attempt(machine: Machine, make: Make) -> None:
    project = make([])
    marker = f"/run/{project.prefix}-tried"
    script = project.write("db.sh", f"test -e {marker} && exec sleep 1000\ntouch {marker}\nexit 1\n")
    project.define(
        [
            {
                "name": "db",
                "command": ["sh", script],
                "restartPolicy": FAST,
                "user": "root",
                "hardening": "off",
                "health": {"probe": {"type": "command", "command": ["sh", "-c", f"test -e {marker} && sleep 0.3"]}},
            },
            {"name": "web", "command": SLEEP, "dependsOn": ["db"]},
        ]
    )
    project.omnitron("generate")
    machine.systemctl("start", project.target)
    machine.wait(lambda: project.state("web") == "active", 15, "the dependent runs")


def test_a_pool_shares_a_socket_that_outlives_restarts(machine: Machine, make: Make) -> None:
    project = make([])
    server = project.write(
        "server.py",
        "import socket, os\n"
        "listener = socket.socket(fileno=3)\n"
        "while True:\n"
        "    connection, _ = listener.accept()\n"
        "    connection.sendall(os.environ['OMNITRON_INSTANCE'].encode())\n"
        "    connection.recv(1)\n"
        "    connection.close()\n",
    )
    project.define(
        [
            {
                "name": "pool",
                "script": server,
                "instances": 3,
                "restartPolicy": FAST,
                "transports": {"http": {"port": 8932, "host": "127.0.0.1", "socketActivation": True}},
            }
        ]
    )
    project.omnitron("up")
    ask = [
        "/usr/bin/python3",
        "-c",
        "import socket\nfor _ in range(60):\n"
        " c = socket.create_connection(('127.0.0.1', 8932)); print(c.recv(9).decode()); c.close()",
    ]
    ask_at_once = (
        "import socket\ncs = [socket.create_connection(('127.0.0.1', 8932)) for _ in range(3)]\n"
        "print(*[c.recv(9).decode() for c in cs])"
    )
    assert sorted(machine.run("/usr/bin/python3", "-c", ask_at_once).stdout.split()) == ["1", "2", "3"]
    machine.run("kill", "-9", str(project.pid("pool", instance=2)))
    assert len(machine.run(*ask).stdout.split()) == 60
    project.omnitron("stop", "pool@1")
    machine.run(*ask)
    assert project.state("pool", instance=1) == "inactive", "a client must not start what an operator stopped"
    project.omnitron("scale", "pool", "5")
    assert project.state("pool", instance=5) == "active"
    assert project.status()["pool"]["instances"] == 5
    project.omnitron("scale", "pool", "1")
    assert project.state("pool", instance=5) == "inactive"
    project.omnitron("stop", "pool")
    assert machine.run(*ask, check=False).returncode != 0


def test_down_follows_priority(machine: Machine, make: Make) -> None:
    """Lower priority first; dependsOn wins over it."""
    project = make(
        [
            {"name": "a", "command": SLEEP, "shutdown": {"priority": 5}},
            {"name": "b", "command": SLEEP, "shutdown": {"priority": 1}},
            {"name": "c", "command": SLEEP, "dependsOn": ["b"], "shutdown": {"priority": 9}},
        ]
    )
    project.omnitron("up")
    project.omnitron("down")
    assert stop_order(machine, project, "b", "a", "c") == ["a", "c", "b"]


def test_what_ignores_sigterm_is_killed_with_its_children(machine: Machine, make: Make) -> None:
    script = "trap '' TERM; sleep 1000 & sleep 1000 & while :; do wait; done"
    project = make([{"name": "app", "command": ["sh", "-c", script], "shutdown": {"timeout": 500}}])
    project.omnitron("up")
    before = time.monotonic()
    machine.systemctl("stop", project.unit("app"))
    assert time.monotonic() - before < 8
    assert not machine.run("pgrep", "-u", "www-data", "sleep", check=False).stdout.split()


def test_an_operators_restart_of_a_critical_app_ends_nothing(machine: Machine, make: Make) -> None:
    """Although it fails while it stops, which systemd reports to OnFailure= too."""
    script = "trap 'exit 3' TERM; sleep 1000 & wait"
    project = make(
        [
            {"name": "core", "command": ["sh", "-c", script], "critical": True},
            {"name": "edge", "command": SLEEP},
        ]
    )
    project.omnitron("up")
    edge = project.pid("edge")
    machine.systemctl("restart", project.unit("core"))
    machine.wait(lambda: project.state("core") == "active", 5, "it runs again")
    time.sleep(1.5)
    assert (project.state("core"), project.pid("edge")) == ("active", edge)


def test_a_critical_app_that_fails_in_its_stop_ends_nothing(machine: Machine, make: Make) -> None:
    """Stopped alone, and with all; only its last crash ends the stack."""
    script = "trap 'exit 3' TERM; sleep 1000 & wait"
    project = make(
        [
            {"name": "core", "command": ["sh", "-c", script], "critical": True},
            {"name": "plain", "command": ["sh", "-c", script], "critical": True, "restartPolicy": LAST},
            {"name": "edge", "command": SLEEP},
        ]
    )
    project.omnitron("up")
    for name in ("core", "plain"):
        machine.systemctl("stop", project.unit(name))
        time.sleep(1.5)
        assert (project.state(name), project.state("edge")) == ("failed", "active")
        machine.systemctl("start", project.unit(name))
    machine.run("kill", "-9", str(project.pid("plain")))
    machine.wait(lambda: project.state("edge") == "inactive", 10, "its last crash ends the stack")
    assert "final failure of its critical app plain" in project.omnitron("status", check=False).stdout
    project.omnitron("up")
    project.omnitron("down")
    time.sleep(1.5)
    assert "final failure" not in project.omnitron("status", check=False).stdout


def test_a_critical_pool_has_failed_with_its_last_instance(machine: Machine, make: Make) -> None:
    project = make(
        [
            {"name": "pool", "command": SLEEP, "critical": True, "instances": 2, "restartPolicy": {"maxRestarts": 0}},
            {"name": "edge", "command": SLEEP},
        ]
    )
    project.omnitron("up")
    machine.run("kill", "-9", str(project.pid("pool", instance=1)))
    machine.wait(lambda: project.state("pool", instance=1) == "failed", 10, "the first is given up")
    time.sleep(1.5)
    assert (project.state("pool", instance=2), project.state("edge")) == ("active", "active")
    machine.run("kill", "-9", str(project.pid("pool", instance=2)))
    machine.wait(lambda: project.state("edge") == "inactive", 10, "the stack has ended")


def test_a_reset_ends_a_delay(machine: Machine, make: Make) -> None:
    project = waiting(machine, make)
    before = time.monotonic()
    project.omnitron("reset", "app")
    assert project.state("app") == "active"
    assert time.monotonic() - before < 20


def test_a_final_kill_by_sigterm_is_a_failure_too(machine: Machine, make: Make) -> None:
    """systemd calls such an end a success; it is given up all the same, and listed."""
    project = make([{"name": "app", "command": SLEEP, "restartPolicy": {"maxRestarts": 1, **FAST}}])
    project.omnitron("up")
    for _ in range(2):
        before = machine.wait(lambda: project.pid("app"), 10, "it runs")
        machine.run("kill", "-TERM", str(before))
        machine.wait(lambda before=before: project.pid("app") != before, 5, "it has ended")  # type: ignore[misc]
    machine.wait(lambda: project.state("app") == "failed", 10, "it is given up")
    assert project.unit("app") in machine.systemctl("list-units", "--failed", "--plain", "--no-legend")


def test_apps_do_without_our_files(machine: Machine, make: Make) -> None:
    """The helpers are gone (the package was removed): apps stop cleanly, and are restarted natively."""
    probe = {"probe": {"type": "tcp", "target": "127.0.0.1:1"}}
    project = make([{"name": "app", "command": SLEEP}, {"name": "asked", "command": SLEEP, "health": probe}])
    project.omnitron("generate")
    for name in ("app", "asked"):
        unit = f"/etc/systemd/system/{project.unit(name)}"
        machine.run("sed", "-i", f"s|{machine.code}/omnitron/supervision|/nowhere|g", unit)
    machine.systemctl("daemon-reload")
    for name in ("app", "asked"):
        machine.systemctl("start", project.unit(name))
        before = project.pid(name)
        machine.run("kill", "-9", str(before))

        def is_back(name: str = name, before: int = before) -> bool:
            return project.state(name) == "active" and project.pid(name) not in (0, before)

        machine.wait(is_back, 5, f"{name} is back")
        machine.systemctl("stop", project.unit(name))
        assert project.state(name) == "inactive"
    said = [entry["MESSAGE"] for entry in machine.journal(project.unit("asked"))]
    assert "it runs, and nobody asks whether it is healthy: no /nowhere/helpers/run.py" in said


def test_loader_variables_reach_the_program_and_no_helper(machine: Machine, make: Make) -> None:
    """Helpers run as root with the environment of the unit: LD_PRELOAD there would be root's code."""
    env = {"LD_PRELOAD": "/nowhere/evil.so", "PATH": "/opt/own:/usr/bin:/bin", "PLAIN": "x"}
    project = make([{"name": "app", "command": ["sleep", "1000"], "env": env, "restartPolicy": FAST}])
    project.omnitron("up")
    environment = machine.read(f"/proc/{project.pid('app')}/environ").split("\0")
    assert {f"{name}={value}" for name, value in env.items()} <= set(environment)
    unit = machine.systemctl("show", "-P", "Environment", project.unit("app"))
    assert "LD_PRELOAD" not in unit and "PLAIN=x" in unit
    machine.run("kill", "-9", str(project.pid("app")))
    machine.wait(lambda: project.state("app") == "active", 10, "it is back")
    assert not [e for e in machine.journal(project.unit("app")) if "evil" in e["MESSAGE"] and e.get("_COMM") == "sh"]
