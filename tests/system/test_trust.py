"""On a real host: root refuses another user's definition, acts on it once it is trusted, and no longer afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support.machines import Machine

FOLDER = "/home/trustee/shop"
FILE = f"{FOLDER}/omnitron.config.json"
DEFINITION = {
    "project": "trust",
    "unitPrefix": "trust",
    "apps": [{"name": "web", "command": ["/bin/sleep", "600"]}],
    "stacks": {"dev": {"type": "local"}},
}
SERVICE = "trust-dev-web-main.service"


@pytest.fixture
def owned(debian12: Machine) -> Iterator[Machine]:
    """A machine with a user whose home holds a definition."""
    machine = debian12
    machine.run("useradd", "--create-home", "trustee")
    machine.write(FILE, json.dumps(DEFINITION))
    machine.run("chown", "-R", "trustee:", "/home/trustee")
    yield machine
    machine.omnitron("down", "--remove", cwd=FOLDER, check=False)
    machine.run("sh", "-c", "rm -rf /etc/omnitron/trusted.d; userdel --remove trustee")


def test_another_users_definition_takes_roots_trust(owned: Machine) -> None:
    machine = owned
    refused = machine.omnitron("up", "--config", FILE, check=False)
    assert refused.returncode == 5
    assert refused.stderr.splitlines() == [
        f"error: cannot act as root on {FILE}: it belongs to trustee (mode 0644)",
        f"       chown -R root: {FOLDER}",
        f"       or omnitron trust {FOLDER}: trustee is then as good as root on this host",
        "       or run omnitron as trustee, with --user: in trustee's own manager, with no rights but trustee's",
    ]
    assert machine.omnitron("trust", FOLDER, check=False).returncode == 2  # it cannot ask
    machine.omnitron("trust", "--yes", FOLDER)
    planned = machine.omnitron("plan", "--config", FILE, check=False)
    assert f"  trustee is as good as root here: {FOLDER} is trusted, by root" in planned.stdout.splitlines()
    machine.omnitron("up", "--config", FILE)
    assert machine.systemctl("show", "-P", "User", SERVICE).strip() == "trustee"
    doctor = machine.omnitron("doctor", check=False).stdout
    assert f"trustee is as good as root: {FOLDER} is trusted, by root" in doctor
    (item,) = json.loads(machine.omnitron("trust", "--list", "--json").stdout)
    assert (item["path"], item["by"], item["inForce"]) == (FOLDER, "root", True)
    machine.omnitron("trust", "--remove", FOLDER)
    assert machine.omnitron("generate", "--config", FILE, check=False).returncode == 5
    told = machine.run("journalctl", "-t", "omnitron", "-o", "cat").stdout
    assert f"root (uid 0): trust {FOLDER}: whoever can write there, trustee first, is as good as root" in told
    assert f"root (uid 0): trust {FOLDER} no longer" in told
    assert f"root (uid 0): up trust-dev.target, defined by {FILE} of trustee" in told
    assert machine.systemctl("is-active", SERVICE).strip() == "active"


def test_a_file_in_it_that_others_can_write_is_refused_all_the_same(owned: Machine) -> None:
    machine = owned
    machine.omnitron("trust", "--yes", FOLDER)
    machine.run("chmod", "664", FILE)
    refused = machine.omnitron("generate", "--config", FILE, check=False)
    assert refused.returncode == 5
    assert "it can be written by its group (owner trustee, mode 0664)" in refused.stderr
    machine.run("chmod", "644", FILE)
    machine.run("chown", "www-data", FILE)
    refused = machine.omnitron("generate", "--config", FILE, check=False)
    assert refused.returncode == 5 and "it belongs to www-data" in refused.stderr
