"""The runtime verbs against a real systemd, by what they print and return."""

from __future__ import annotations

import json

import pytest

from tests.support.machines import Machine
from tests.support.projects import Make

SLEEP = ["sleep", "1000"]

PROCESS_INFO = {
    "name": str,
    "pid": (int, type(None)),
    "status": str,
    "cpu": (int, float),
    "memory": int,
    "uptime": int,
    "restarts": int,
    "instances": int,
    "port": (int, type(None)),
    "mode": str,
    "critical": bool,
    "condition": (dict, type(None)),
}
SUB_KEYS = ("name", "pid", "status", "cpu", "memory", "uptime", "restarts", "condition")
SUB_PROCESS = {key: PROCESS_INFO[key] for key in SUB_KEYS}


def test_status_is_exactly_the_dto(machine: Machine, make: Make) -> None:
    project = make([])
    bootstrap = {
        "name": "multi",
        "processes": [{"name": "one", "command": SLEEP}, {"name": "two", "command": SLEEP, "instances": 2}],
    }
    project.write("bootstrap.json", json.dumps(bootstrap))
    port = {"http": {"port": 8961}}
    project.define(
        [
            {"name": "single", "command": SLEEP, "critical": True, "transports": port},
            {"name": "multi", "bootstrap": "bootstrap.json"},
            {"name": "off", "command": SLEEP, "enabled": False},
        ]
    )
    project.omnitron("up")
    done = project.omnitron("status", "--json", "--stack", "dev")
    answer = json.loads(done.stdout)
    assert done.stdout.count("\n") == 1
    assert set(answer) == {"version", "pid", "uptime", "apps", "totalCpu", "totalMemory"}
    assert answer["pid"] == 1 and answer["uptime"] > 0
    apps = {app["name"].rpartition("/")[2]: app for app in answer["apps"]}
    for app in apps.values():
        assert set(app) - {"processes"} == set(PROCESS_INFO)
        assert all(isinstance(app[key], kinds) for key, kinds in PROCESS_INFO.items())
    single = apps["single"]
    assert (single["status"], single["mode"], single["critical"], single["port"]) == ("online", "classic", True, 8961)
    assert single["pid"] == project.pid("single")
    assert single["memory"] > 0 and single["uptime"] > 0
    multi = apps["multi"]
    assert (multi["mode"], multi["instances"]) == ("bootstrap", 3)
    assert [sub["name"] for sub in multi["processes"]] == ["one", "two@1", "two@2"]
    for sub in multi["processes"]:
        assert set(sub) == {*SUB_PROCESS, "type"}
        assert sub["pid"] and sub["memory"] > 0
    assert apps["off"]["status"] == "stopped"
    assert machine.show(project.unit("off"), "ActiveState") == "inactive"
    assert answer["totalMemory"] == sum(app["memory"] for app in answer["apps"])


@pytest.mark.parametrize("verb", ["stop", "down"])
def test_a_stop_returns_when_all_has_stopped(machine: Machine, make: Make, verb: str) -> None:
    slow = "trap 'sleep 1; exit 0' TERM; while :; do sleep 0.05; done"
    project = make([{"name": "slow", "command": ["sh", "-c", slow]}])
    project.omnitron("up")
    project.omnitron(verb)
    assert project.state("slow") == "inactive"


def test_start_stop_restart_of_parts(machine: Machine, make: Make) -> None:
    project = make([{"name": "a", "command": SLEEP}, {"name": "pool", "command": SLEEP, "instances": 2}])
    project.omnitron("up")
    first, second = project.pid("pool", instance=1), project.pid("pool", instance=2)
    project.omnitron("restart", "pool@2")
    assert project.pid("pool", instance=1) == first
    assert project.pid("pool", instance=2) not in (0, second)
    project.omnitron("stop", "dev/pool:main@1")
    assert [project.state("pool", instance=n) for n in (1, 2)] == ["inactive", "active"]
    project.omnitron("start", "pool")
    assert project.state("pool", instance=1) == "active"
    project.omnitron("stop")
    assert project.state("a") == "inactive"
    project.omnitron("start")
    assert project.state("a") == "active"
    wrong = project.omnitron("start", "poool", check=False)
    assert wrong.returncode == 2
    assert "pool" in wrong.stderr


def test_failures_are_explained(machine: Machine, make: Make) -> None:
    policy = {"maxRestarts": 0}
    project = make([{"name": "broken", "command": ["/no/such/program"], "restartPolicy": policy}])
    up = project.omnitron("up", check=False)
    assert up.returncode == 1
    assert project.unit("broken") in up.stderr and "journalctl" in up.stderr
    assert project.omnitron("status", check=False).returncode == 1
    start = project.omnitron("start", "broken", check=False)
    assert start.returncode == 1


def test_inspect_health_list_and_graph(machine: Machine, make: Make) -> None:
    script = ["sh", "-c", "echo last words; exit 7"]
    policy = {"maxRestarts": 1, "backoff": {"type": "fixed", "initial": 50}}
    project = make(
        [
            {"name": "ok", "command": SLEEP},
            {"name": "bad", "command": script, "restartPolicy": policy},
            {"name": "needs", "command": SLEEP, "dependsOn": ["ok"]},
        ]
    )
    project.omnitron("up", check=False)
    machine.wait(lambda: project.state("bad") == "failed", 10, "it is given up")
    inspected = json.loads(project.omnitron("inspect", "bad", "--json").stdout)
    assert inspected["lastExit"]["code"] == 7
    assert "last words" in inspected["lastExit"]["stderrTail"]
    text = project.omnitron("inspect", "bad").stdout
    assert "last words" in text and "given up after 1" in text
    health = project.omnitron("health", "--json", check=False)
    answer = json.loads(health.stdout)
    assert health.returncode == 1
    states = {name.rpartition("/")[2]: app["status"] for name, app in answer["apps"].items()}
    assert (states["ok"], states["bad"], answer["overall"]) == ("healthy", "unhealthy", "unhealthy")
    assert project.omnitron("health", "ok").returncode == 0
    listed = json.loads(project.omnitron("list", "--json").stdout)
    (needs,) = [app for app in listed if app["name"] == "needs" and app["project"] == project.prefix]
    assert needs["dependsOn"] == ["ok"]
    graph = project.omnitron("graph", "--format", "dot").stdout
    assert '"needs" -> "ok";' in graph


def test_secrets_are_masked(machine: Machine, make: Make) -> None:
    project = make([{"name": "a", "command": SLEEP, "env": {"DB_PASSWORD": "hunter2", "PLAIN": "x"}}])
    text = project.omnitron("env", "a").stdout
    assert "PLAIN=x" in text and "hunter2" not in text
    assert "hunter2" in project.omnitron("env", "a", "--reveal").stdout


def test_a_new_project_from_init(machine: Machine) -> None:
    folder = "/srv/fresh-project"
    machine.run("install", "-d", folder)
    machine.omnitron("init", cwd=folder)
    machine.run("sed", "-i", "s/^project:/unitPrefix: fresh\\nproject:/", f"{folder}/omnitron.config.yaml")
    machine.omnitron("up", cwd=folder)
    page = machine.run("curl", "-sf", "http://127.0.0.1:8000/").stdout
    assert "omnitron.config.yaml" in page
    assert machine.omnitron("init", cwd=folder, check=False).returncode == 1
    machine.omnitron("down", "--remove", "dev", cwd=folder, check=False)


def test_two_generates_at_once(machine: Machine, make: Make) -> None:
    project = make([{"name": f"a{number}", "command": SLEEP} for number in range(20)])
    words = " ".join(machine.python)
    one = f"cd {project.folder} && {words} -m omnitron generate"
    machine.run("sh", "-c", f"({one}) & ({one}) & ({one}) & wait")
    assert project.omnitron("plan").returncode == 0
    assert machine.run("sh", "-c", "ls -a /etc/systemd/system | grep -c staged", check=False).stdout.strip() == "0"


def test_two_projects_with_equal_stacks(machine: Machine, make: Make) -> None:
    """Verbs without an address mean the project of the folder that they are called in."""
    first, second = (make([{"name": "app", "command": SLEEP}]) for _ in range(2))
    first.omnitron("up")
    second.omnitron("up")
    first.omnitron("stop", "app")
    assert (first.state("app"), second.state("app")) == ("inactive", "active")
    first.omnitron("start")
    second.omnitron("down")
    assert (first.state("app"), second.state("app")) == ("active", "inactive")
    elsewhere = machine.omnitron("down", cwd="/", check=False)
    assert elsewhere.returncode == 2
    assert first.folder in elsewhere.stderr and second.folder in elsewhere.stderr


def test_run_has_the_environment_of_the_app(machine: Machine, make: Make) -> None:
    project = make(
        [
            {"name": "app", "command": SLEEP, "env": {"FOO": "bar", "LD_LIBRARY_PATH": "/nowhere"}},
            {"name": "plain", "command": SLEEP, "env": {"FOO": "baz"}},
        ]
    )
    project.omnitron("generate")
    assert {"FOO=bar", "LD_LIBRARY_PATH=/nowhere"} <= set(project.omnitron("run", "app", "env").stdout.split("\n"))
    assert "FOO=baz" in project.omnitron("run", "plain", "env").stdout.split("\n")


def test_up_sees_a_socket_that_cannot_bind(machine: Machine, make: Make) -> None:
    machine.systemctl("reset-failed", "squatter.service", check=False)
    machine.run("systemd-run", "--unit=squatter", "python3", "-m", "http.server", "-b", "127.0.0.1", "8962")
    machine.wait(
        lambda: machine.run("curl", "-sf", "http://127.0.0.1:8962/", check=False).returncode == 0, 10, "it listens"
    )
    http = {"http": {"port": 8962, "host": "127.0.0.1", "socketActivation": True}}
    project = make([{"name": "app", "command": SLEEP, "transports": http}])
    up = project.omnitron("up", check=False)
    machine.systemctl("stop", "squatter.service")
    assert up.returncode == 1
    assert "is port 8962 taken?" in up.stderr


def test_up_starts_what_was_given_up_in_an_app_of_several_processes(machine: Machine, make: Make) -> None:
    project = make([])
    once = {"name": "flaky", "command": ["sh", "-c", "[ -e /run/up-again ] || exit 1; exec sleep 1000"]}
    processes = [once | {"restartPolicy": {"maxRestarts": 0}}, {"name": "steady", "command": SLEEP}]
    project.write("bootstrap.json", json.dumps({"name": "app", "processes": processes}))
    project.define([{"name": "app", "bootstrap": "bootstrap.json"}])
    assert project.omnitron("up", check=False).returncode == 1
    machine.run("touch", "/run/up-again")
    project.omnitron("up")
    assert project.state("app", "flaky") == "active"


def test_instances_beyond_the_definition(machine: Machine, make: Make) -> None:
    project = make([{"name": "pool", "command": SLEEP, "instances": 2}])
    project.omnitron("up")
    for wrong in ("pool@0", "pool@1001", "pool@99999999999999999999"):
        assert project.omnitron("start", wrong, check=False).returncode == 2
    project.omnitron("scale", "pool", "4")
    project.omnitron("up")
    assert [project.state("pool", instance=n) for n in (1, 2, 3, 4)] == ["active", "active", "inactive", "inactive"]
    project.omnitron("scale", "pool", "3")
    text = project.omnitron("inspect", "pool@3").stdout
    assert project.unit("pool", instance=3) in text and project.unit("pool", instance=2) not in text
    assert project.omnitron("inspect", "pool@9", check=False).returncode == 2
    project.omnitron("stop", "pool")
    assert project.state("pool", instance=3) == "inactive"


@pytest.mark.parametrize("verb", [("scale", "pool", "2"), ("up",)], ids=["scale", "up"])
def test_instances_that_failed_and_are_no_more_are_forgotten(
    machine: Machine, make: Make, verb: tuple[str, ...]
) -> None:
    command = ["sh", "-c", "[ $OMNITRON_INSTANCE -le 2 ] || exit 1; exec sleep 1000"]
    pool = {"name": "pool", "command": command, "instances": 2, "restartPolicy": {"maxRestarts": 0}}
    project = make([pool])
    project.omnitron("up")
    project.omnitron("scale", "pool", "4", check=False)
    machine.wait(lambda: [project.state("pool", instance=n) for n in (3, 4)] == ["failed"] * 2, 10, "they failed")
    assert project.omnitron("status", check=False).returncode == 1
    project.omnitron(*verb)
    assert project.omnitron("status").returncode == 0
    assert [project.state("pool", instance=n) for n in (1, 2, 3, 4)] == ["active"] * 2 + ["inactive"] * 2


def test_inspect_tells_how_it_ended_and_what_is_left(machine: Machine, make: Make) -> None:
    waits = {"maxRestarts": 3, "backoff": {"initial": 30_000, "max": 30_000}}
    at_once = {"maxRestarts": 2, "window": 60_000, "backoff": {"initial": 0}}
    project = make(
        [
            {"name": "waits", "command": ["sleep", "1000"], "restartPolicy": waits},
            {"name": "native", "command": ["sleep", "1000"], "restartPolicy": at_once},
        ]
    )
    project.omnitron("up")
    machine.run("kill", "-SEGV", str(project.pid("waits")))
    machine.wait(lambda: "next start in" in project.omnitron("inspect", "waits").stdout, what="it waits")
    text = project.omnitron("inspect", "waits").stdout
    assert "2 of 3 in" in text
    assert "signal SEGV" in text
    for _ in range(2):
        before = project.pid("native")
        machine.run("kill", "-9", str(before))
        machine.wait(lambda pid=before: project.pid("native") not in (0, pid))  # type: ignore[misc]
    assert project.status()["native"]["restarts"] == 2
    machine.run("kill", "-9", str(project.pid("native")))
    machine.wait(lambda: project.state("native") == "failed")
    text = project.omnitron("inspect", "native").stdout
    assert "crashed (signal KILL): given up by systemd's start limit" in text
    last = json.loads(project.omnitron("inspect", "native", "--json").stdout)["lastExit"]
    assert (last["signal"], last["code"]) == ("SIGKILL", None)


def test_what_systemd_refuses_is_told_and_can_be_removed(machine: Machine, make: Make) -> None:
    wrong = {"name": "wrong", "command": SLEEP, "systemd": {"service": {"ExecStart": "relative/path"}}}
    project = make([{"name": "good", "command": SLEEP}, wrong])
    said = project.omnitron("up", check=False)
    assert said.returncode == 1
    assert "is errored: systemd refuses its unit: see `systemctl status" in said.stderr
    assert "systemd refuses its unit" in project.omnitron("status", check=False).stdout
    project.omnitron("down", "--remove")
    assert project.unit("wrong") not in machine.run("ls", "/etc/systemd/system").stdout


def test_removing_a_stack_leaves_nothing_failed(machine: Machine, make: Make) -> None:
    project = make([{"name": "bad", "command": ["false"], "restartPolicy": {"maxRestarts": 0}}])
    project.omnitron("up", check=False)
    project.omnitron("down", "--remove")
    assert f"{project.prefix}-dev" not in machine.systemctl("list-units", "--all", "--plain", "--no-legend")
