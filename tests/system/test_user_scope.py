"""A user's own manager: no root, no User=, and still shut in."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from machines import Machine

USER = "alice"
DEFINITION = """\
project: mine
unitPrefix: mine
logging: {maxFiles: 3}
apps:
  - name: core
    command: [sh, -c, 'touch /etc/x 2>/dev/null && exit 9; exec sleep 1000']
    critical: true
    restartPolicy: {maxRestarts: 1, backoff: {type: fixed, initial: 100}}
  - name: web
    command: [sleep, '1000']
    dependsOn: [core]
    paths: {state: true}
stacks: {dev: {type: local}}
"""


@pytest.fixture
def home(machine: Machine) -> Iterator[str]:
    machine.sandbox.user_manager(USER)
    folder = f"/home/{USER}/project"
    machine.run("install", "-d", "-o", USER, folder)
    machine.write(f"{folder}/omnitron.config.yaml", DEFINITION, owner=USER)
    yield folder
    machine.omnitron("down", "--user", "--remove", check=False, user=USER, cwd=folder)


def test_a_stack_of_a_users_own(machine: Machine, home: str) -> None:
    def omnitron(*args: str, check: bool = True) -> str:
        done = machine.omnitron(*args, "--user", check=check, user=USER, cwd=home)
        return done.stdout + done.stderr

    def show(unit: str, prop: str) -> str:
        return machine.run("systemctl", "--user", "show", "-P", prop, unit, user=USER).stdout.strip()

    text = omnitron("up")
    assert "no journal namespaces" in text
    assert show("mine-dev-core-main.service", "PrivateUsers") == "yes"
    status = json.loads(omnitron("status", "--json"))
    assert {app["name"]: app["status"] for app in status["apps"]} == {"core": "online", "web": "online"}
    assert all(app["memory"] > 0 for app in status["apps"])
    # the watcher tells it on the user's own bus, to its user alone
    name, path = "dev.omnitron.Watcher1", "/dev/omnitron/Watcher1"
    ask = ("busctl", "--user", "get-property", name, path, name, "Stacks")
    machine.wait(
        lambda: '"mine-dev" "mine" "dev" "active" "healthy"' in machine.run(*ask, user=USER, check=False).stdout
    )
    # a crash comes back, with the helpers under a user's manager
    before = show("mine-dev-core-main.service", "MainPID")
    machine.run("kill", "-9", before)
    machine.wait(lambda: show("mine-dev-core-main.service", "MainPID") not in ("0", before), 10, "it is back")
    # the final failure of the critical app ends the stack
    machine.wait(lambda: show("mine-dev-core-main.service", "ActiveState") == "active", 5, "it runs")
    machine.run("kill", "-9", show("mine-dev-core-main.service", "MainPID"))
    machine.wait(lambda: show("mine-dev-web-main.service", "ActiveState") == "inactive", 10, "the stack has ended")
    assert "ended by the final failure of its critical app core" in omnitron("status", check=False)


def test_runtime_units_leave_nothing(machine: Machine, home: str) -> None:
    done = machine.omnitron("up", "--user", "--runtime", check=True, user=USER, cwd=home)
    assert "is up" in done.stdout
    machine.omnitron("down", "--user", "--remove", user=USER, cwd=home)
    left = machine.run("find", f"/home/{USER}", "/run/user", "-name", "mine-dev*", check=False).stdout
    assert left == ""
