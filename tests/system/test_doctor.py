"""`omnitron doctor` finds what is broken on a real host, says which unit suffers, and is quiet otherwise."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.machines import Machine
from tests.support.projects import Make, Project


def examined(project: Project) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """The exit status, and the findings on this project by check."""
    done = project.omnitron("doctor", "--json", check=False)
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in json.loads(done.stdout):
        found.setdefault(finding["check"], []).append(finding)
    return done.returncode, found


@pytest.fixture
def project(make: Make) -> Project:
    project = make([])
    project.write("app/main.py", "import time\ntime.sleep(1000)\n")
    project.define([{"name": "api", "script": "app/main.py"}, {"name": "other", "command": ["sleep", "1000"]}])
    project.omnitron("generate")
    return project


def test_a_host_that_is_well(machine: Machine, project: Project) -> None:
    status, found = examined(project)
    assert status == 0
    states = {check: findings[0]["state"] for check, findings in found.items() if len(findings) == 1}
    expected = ("systemd", "booted", "bus", "permissions", "run", "definition", "installed", "paths")
    assert {check: states[check] for check in expected} == dict.fromkeys(expected, "ok")
    text = project.omnitron("doctor").stdout
    assert f"ok    systemd      version {machine.systemctl('--version').split()[1]}" in text


def test_paths_that_are_gone(machine: Machine, project: Project) -> None:
    machine.run("mv", f"{project.folder}/app", f"{project.folder}/gone")
    status, found = examined(project)
    assert status == 1
    messages = [finding["message"] for finding in found["paths"]]
    assert f"{project.unit('api')} cannot run: {project.folder}/app/main.py is not there" in messages
    machine.run("mv", f"{project.folder}/gone", f"{project.folder}/app")
    assert examined(project)[0] == 0


def test_edits_by_hand(machine: Machine, project: Project) -> None:
    machine.run("sh", "-c", f"echo '# mine' >>/etc/systemd/system/{project.unit('api')}")
    machine.run("rm", f"/etc/systemd/system/{project.unit('other')}")
    status, found = examined(project)
    assert status == 1
    assert {(edit["state"], edit["message"].rpartition("/")[2]) for edit in found["edits"]} == {
        ("warn", f"{project.unit('api')} was changed by hand"),
        ("fail", f"{project.unit('other')} was removed"),
    }
    project.omnitron("generate")
    assert "edits" not in examined(project)[1]


def test_a_manifest_that_is_gone(machine: Machine, project: Project) -> None:
    manifest = f"/var/lib/omnitron/.installed/{project.prefix}-dev.json"
    machine.run("mv", manifest, f"{manifest}.away")
    status, found = examined(project)
    assert status == 1
    assert found["installed"][0]["message"].startswith(f"{manifest} is missing: ")
    machine.run("mv", f"{manifest}.away", manifest)
    assert examined(project)[0] == 0


def test_a_full_runtime_folder(machine: Machine, project: Project) -> None:
    machine.run("sh", "-c", "fallocate -l $(df --output=avail -B1 /run | tail -1) /run/filler")
    try:
        status, found = examined(project)
    finally:
        machine.run("rm", "/run/filler")
    assert status == 1
    assert found["room"][0]["message"].startswith("/run has no space left: ")
    assert "room" not in examined(project)[1]


def test_an_interrupted_change(machine: Machine, project: Project) -> None:
    journal = f"/var/lib/omnitron/.installed/{project.prefix}-dev.journal"
    machine.write(journal, json.dumps({"renames": [], "removes": []}))
    status, found = examined(project)
    assert (status, found["installed"][0]["state"]) == (0, "warn")
    assert found["installed"][0]["cure"] == "omnitron generate finishes it"
    project.omnitron("generate")
    assert examined(project)[1]["installed"][0]["state"] == "ok"


def test_damaged_files(machine: Machine, project: Project) -> None:
    machine.write(f"/etc/omnitron/{project.prefix}-dev.json", "{")
    status, found = examined(project)
    assert status == 1
    assert f"/etc/omnitron/{project.prefix}-dev.json: it is damaged" in found["installed"][0]["message"]
    project.omnitron("generate")
    assert examined(project)[0] == 0


def test_a_definition_that_is_wrong(machine: Machine, project: Project) -> None:
    project.define([{"name": "api", "script": "nowhere.py"}, {"name": "x", "command": ["sleep"], "colour": 1}])
    status, found = examined(project)
    assert status == 1
    assert found["definition"][0]["cure"] == "omnitron validate"


def test_programs_that_are_not_here(machine: Machine, project: Project) -> None:
    project.define([{"name": "api", "command": ["no-such-program"]}])
    status, found = examined(project)
    assert status == 1
    assert found["programs"][0]["message"] == "dev/api:main runs no-such-program, which is not here"


def test_a_user_without_linger(machine: Machine) -> None:
    machine.sandbox.user_manager("alice")

    def permissions() -> dict[str, Any]:
        done = machine.omnitron("doctor", "--user", "--json", check=False, user="alice")
        findings = {finding["check"]: finding for finding in json.loads(done.stdout)}
        assert findings["bus"]["state"] == findings["runtime-dir"]["state"] == "ok"
        return findings["permissions"]  # type: ignore[no-any-return]

    assert permissions()["cure"] == "loginctl enable-linger alice"
    machine.run("mkdir", "-p", "/var/lib/systemd/linger")
    machine.run("touch", "/var/lib/systemd/linger/alice")
    assert permissions()["state"] == "ok"
    machine.run("rm", "/var/lib/systemd/linger/alice")


def test_a_user_without_a_manager(machine: Machine) -> None:
    done = machine.omnitron("doctor", "--user", check=False, user="nobody")
    assert done.returncode == 1
    assert "fail  runtime-dir" in done.stdout
    assert "fail  bus" in done.stdout


def test_a_bus_that_is_down(machine: Machine, project: Project) -> None:
    machine.run("mv", "/run/dbus/system_bus_socket", "/run/dbus/away")
    try:
        status, found = examined(project)
    finally:
        machine.run("mv", "/run/dbus/away", "/run/dbus/system_bus_socket")
    assert status == 1
    assert found["bus"][0]["state"] == "fail"
    assert "apt install dbus" in found["bus"][0]["cure"]
