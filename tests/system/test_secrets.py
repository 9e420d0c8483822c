"""Secrets: in the process that uses them, and nowhere else that anybody looks."""

from __future__ import annotations

import json
import shlex

from tests.support.machines import Machine
from tests.support.projects import USER, Make, Project

SECRET = "s3cr3t-$x%n\"'\\-pä"
SHOWS = ["/bin/sh", "-c", 'printf "%s" "$KEY" | sha256sum >"$STATE_DIRECTORY/seen"; exec sleep infinity']


def project(make: Make) -> Project:
    """Two apps with the secret `key`, and one without."""
    using = {"command": SHOWS, "env": {"KEY": "${secret:key}"}, "paths": {"state": True}}
    return make([{"name": "a", **using}, {"name": "b", **using}, {"name": "c", "command": ["/bin/sleep", "infinity"]}])


def value(project: Project, app: str) -> str:
    text = project.machine.read(f"/proc/{project.pid(app)}/environ")
    return dict(pair.split("=", 1) for pair in text.split("\0") if pair)["KEY"]


def test_a_process_gets_it_byte_for_byte_and_nobody_else_sees_it(machine: Machine, make: Make) -> None:
    it = project(make)
    missing = it.omnitron("up", check=False)
    assert missing.returncode == 3
    assert "apps.a.env.KEY: cannot use the secret 'key': the stack dev has none" in missing.stderr
    it.omnitron("secret", "set", "key", input=SECRET + "\n")
    it.omnitron("up")
    assert value(it, "a") == value(it, "b") == SECRET
    assert it.omnitron("secret", "get", "key").stdout == SECRET + "\n"
    assert it.omnitron("run", "a", "--", "sh", "-c", 'printf %s "$KEY"').stdout == SECRET
    assert it.omnitron("run", "a", "--", "no-such-program", check=False).returncode == 127
    (row,) = json.loads(it.omnitron("secret", "list", "--json").stdout)
    assert (row["name"], row["users"]) == ("key", ["a", "b"])
    machine.run("journalctl", "--sync")
    places = {
        "units and policy": f"cat /etc/systemd/system/{it.prefix}* /etc/omnitron/{it.prefix}*.json",
        "show": f"systemctl show '{it.prefix}-*'",
        "command lines": "cat /proc/[0-9]*/cmdline",
        "journal": "journalctl --output=export",
        "store": f"cat /etc/omnitron/secrets/{it.prefix}-dev/*",
    }
    for place, command in places.items():
        text = machine.run("sh", "-c", f"{command} | base64").stdout
        found = machine.run("sh", "-c", "base64 -d | grep -c s3cr3t", input=text, check=False).stdout.strip()
        assert found == "0", place
    assert machine.run("sh", "-c", f"tr '\\0' '\\n' </proc/{it.pid('a')}/environ | grep -c s3cr3t").stdout == "1\n"
    for path in (f"/proc/{it.pid('a')}/environ", f"/etc/omnitron/secrets/{it.prefix}-dev/key.cred"):
        assert machine.run("cat", path, user="nobody", check=False).returncode
    store = f"/run/credentials/{it.unit('a')}"
    assert machine.run("ls", store, user=USER, check=False).returncode == 0
    assert machine.run("ls", store, user="nobody", check=False).returncode


def test_one_that_comes_in_the_environment_is_kept(machine: Machine, make: Make) -> None:
    it = project(make)
    omnitron = ["env", "OMNITRON_SECRET_KEY=from outside", *machine.python, "-m", "omnitron"]
    done = machine.run(*omnitron, "up", cwd=it.folder)
    assert "stored the secret key of dev, from OMNITRON_SECRET_KEY" in done.stderr
    assert value(it, "a") == "from outside"
    assert it.omnitron("secret", "get", "key").stdout == "from outside\n"
    # It is there from now on.
    it.omnitron("up")
    it.omnitron("restart", "a")
    assert value(it, "a") == "from outside"


def test_rotation_restarts_exactly_the_processes_that_use_it(machine: Machine, make: Make) -> None:
    it = project(make)
    it.omnitron("secret", "set", "key", "--value", "old")
    it.omnitron("up")
    it.omnitron("stop", "b")
    before = {app: it.pid(app) for app in "abc"}
    noted = it.omnitron("secret", "set", "key", input="new")
    assert it.unit("a") in noted.stderr and it.unit("b") not in noted.stderr
    assert value(it, "a") == "old"
    done = it.omnitron("secret", "rotate", "key", "--stdin", input="newer")
    assert f"restarted {it.unit('a')}" in done.stdout
    assert value(it, "a") == "newer"
    assert (it.pid("b"), it.pid("c")) == (0, before["c"])
    it.omnitron("start", "b")
    assert value(it, "b") == "newer"
    used = it.omnitron("secret", "delete", "key", check=False)
    assert used.returncode == 2 and "a, b would not start without it" in used.stderr
    it.omnitron("secret", "rotate", "key")
    assert len(value(it, "a")) == 64


def test_what_was_tampered_with_starts_nothing(machine: Machine, make: Make) -> None:
    it = project(make)
    it.omnitron("secret", "set", "key", "--value", "x" * 200)
    it.omnitron("up")
    path = f"/etc/omnitron/secrets/{it.prefix}-dev/key.cred"
    text = machine.read(path)
    machine.write(path, text[:80] + ("A" if text[80] != "A" else "B") + text[81:], 0o600)
    assert "cannot read the secret 'key'" in it.omnitron("secret", "get", "key", check=False).stderr
    it.omnitron("restart", "a", check=False)
    assert it.state("a") != "active"
    assert "credentials" in it.omnitron("inspect", "a").stdout.lower()


def test_names_values_and_files_of_secrets(machine: Machine, make: Make) -> None:
    it = project(make)
    for name in ("../x", "a/b", ".", ""):
        refused = it.omnitron("secret", "set", name, "--value", "x", check=False)
        assert refused.returncode == 2 and "cannot name a secret" in refused.stderr
    assert "cannot store an empty secret" in it.omnitron("secret", "set", "key", input="\n", check=False).stderr
    it.write("secrets.env", "key=one\nother='t w o'\n")
    it.omnitron("secret", "import", "secrets.env")
    assert it.omnitron("secret", "get", "other").stdout == "t w o\n"
    it.write("secrets.env", "third=x\nnot a line\n")
    done = it.omnitron("secret", "import", "secrets.env", check=False)
    assert done.returncode == 3 and "secrets.env:2: cannot read this line: it is not NAME=VALUE" in done.stderr
    unknown = it.omnitron("secret", "get", "kee", check=False)
    assert unknown.returncode == 2 and "there is key, other" in unknown.stderr
    it.omnitron("secret", "delete", "other")
    plain = it.omnitron("secret", "list").stdout
    assert "key" in plain and "one" not in shlex.split(plain)
