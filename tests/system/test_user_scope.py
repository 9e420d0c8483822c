"""A user's own manager: no root, no User=, and still shut in."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support.machines import Machine

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


def test_a_sealed_secret_reaches_its_process_alone(machine: Machine, home: str) -> None:
    text = DEFINITION.replace("    paths: {state: true}\n", '    env: {KEY: "a ${secret:key}"}\n')
    machine.write(f"{home}/omnitron.config.yaml", text, owner=USER)

    def omnitron(*args: str, input: str | None = None, check: bool = True) -> str:
        done = machine.omnitron(*args, input=input, check=check, user=USER, cwd=home)
        return done.stdout + done.stderr

    assert "cannot use the secret 'key'" in omnitron("up", "--user", check=False)
    omnitron("secret", "set", "key", "--user", input="pä$%\n")
    omnitron("up", "--user")

    def key() -> str:
        pid = machine.run("systemctl", "--user", "show", "-P", "MainPID", "mine-dev-web-main", user=USER).stdout.strip()
        text = machine.read(f"/proc/{pid}/environ")
        return dict(pair.split("=", 1) for pair in text.split("\0") if pair)["KEY"]

    assert key() == "a pä$%"
    omnitron("secret", "rotate", "key", "--stdin", "--user", input="new")
    assert key() == "a new"
    # One more for a stack that runs: what was opened is opened anew.
    machine.write(f"{home}/omnitron.config.yaml", text.replace("${secret:key}", "${secret:other}"), owner=USER)
    omnitron("secret", "set", "other", "--value", "more", "--user")
    omnitron("up", "--user")
    assert key() == "a more"
    omnitron("secret", "delete", "other", "--user", check=False)
    machine.write(f"{home}/omnitron.config.yaml", text, owner=USER)
    omnitron("up", "--user")
    omnitron("secret", "delete", "other", "--user")
    uid = machine.run("id", "-u", USER).stdout.strip()
    opened = f"/run/user/{uid}/omnitron/.secrets/mine-dev"
    assert "key\n" in machine.run("ls", opened).stdout
    for path in (f"{opened}/key", f"/home/{USER}/.config/omnitron/secrets/mine-dev.sealed"):
        assert machine.run("stat", "-c", "%a %U", path).stdout == f"600 {USER}\n"
    omnitron("down", "--user", "--remove")
    # What was opened is gone with the stack.
    assert machine.run("ls", opened, check=False).returncode
    omnitron("secret", "delete", "key", "--user")
    assert "has no secrets" in omnitron("secret", "list", "--user")


@pytest.mark.parametrize("machine", ["debian12"], indirect=True)
def test_a_passphrase_of_ones_own_seals_secrets(machine: Machine, home: str) -> None:
    text = DEFINITION.replace("    paths: {state: true}\n", '    env: {KEY: "a ${secret:key}"}\n')
    machine.write(f"{home}/omnitron.config.yaml", text, owner=USER)
    machine.run("rm", "-rf", f"/home/{USER}/.config/omnitron/secrets")  # what another test has sealed otherwise
    phrases = {name: f"/home/{USER}/{name}" for name in ("right", "wrong")}
    for name, path in phrases.items():
        machine.write(path, f"{name} passphrase\n", 0o600, owner=USER)

    def omnitron(phrase: str, *args: str, check: bool = True) -> str:
        given = f"OMNITRON_SECRETS_PASSPHRASE_FILE={phrases[phrase]}"
        argv = ["env", given, *machine.python, "-m", "omnitron", *args, "--user"]
        done = machine.run(*argv, check=check, user=USER, cwd=home)
        return done.stdout + done.stderr

    omnitron("right", "secret", "set", "key", "--value", "told")
    refused = omnitron("wrong", "secret", "get", "key", check=False)
    assert "passphrase" in refused and "told" not in refused
    # There is no key beside it: the passphrase alone opens it.
    kept = machine.run("ls", f"/home/{USER}/.config/omnitron/secrets").stdout.split()
    assert kept == ["mine-dev.sealed"]
    omnitron("right", "up")
    pid = machine.run("systemctl", "--user", "show", "-P", "MainPID", "mine-dev-web-main", user=USER).stdout.strip()
    assert "KEY=a told\0" in machine.read(f"/proc/{pid}/environ")
    omnitron("right", "down", "--remove")
    machine.run("rm", "-rf", f"/home/{USER}/.config/omnitron/secrets")


def test_servers_of_a_users_own(debian12: Machine) -> None:
    machine = debian12
    machine.sandbox.user_manager(USER)
    folder = f"/home/{USER}/servers"
    app = {"name": "app", "bootstrap": "app/bootstrap.json"}
    offsets = {"postgres": 22000, "redis": 22000}
    stacks = {"dev": {"type": "local", "settings": {"portOffsets": offsets}}}
    definition = {"project": "servers", "unitPrefix": "servers", "apps": [app], "stacks": stacks}
    process = {"name": "main", "command": ["/bin/sleep", "infinity"]}
    needs = {"omnitron": {"database": True, "redis": True}}
    machine.run("install", "-d", "-o", USER, folder, f"{folder}/app", f"{folder}/app/config")
    machine.write(f"{folder}/omnitron.config.json", json.dumps(definition), owner=USER)
    machine.write(f"{folder}/app/bootstrap.json", json.dumps({"name": "app", "processes": [process]}), owner=USER)
    machine.write(f"{folder}/app/config/default.json", json.dumps(needs), owner=USER)
    try:
        machine.omnitron("up", "--user", user=USER, cwd=folder)
        asked = machine.omnitron("infra", "psql", "--user", "-XqAtc", "SELECT 1 FROM pg_roles WHERE rolname = 'app'",
                                 user=USER, cwd=folder)  # fmt: skip
        assert asked.stdout == "1\n"
        assert machine.omnitron("infra", "redis-cli", "--user", "ping", user=USER, cwd=folder).stdout == "PONG\n"
    finally:
        machine.omnitron("down", "--user", "--remove", check=False, user=USER, cwd=folder)
