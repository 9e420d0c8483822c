"""Databases and caches of a stack: the real servers of the distribution, under the host's systemd."""

from __future__ import annotations

import json
import re
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.machines import Machine
from tests.support.projects import Make, Project, environment, needing, sql

BASE = 21000
NEEDS = {"database": True, "redis": True}


@pytest.fixture
def machine(debian12: Machine) -> Machine:
    """The machine that has the servers."""
    return debian12


def project(make: Make, number: int, needs: dict[str, Any], env: dict[str, str] | None = None, **more: Any) -> Project:
    """A project whose one app, `app`, has these needs; `number` keeps its ports apart from those of others."""
    offsets = {"postgres": BASE + number, "redis": BASE + number}
    stack = {"type": "local", "watch": False, "settings": {"portOffsets": offsets}}
    return needing(make, needs, env, stacks={"dev": stack}, **more)


def redis(project: Project, *command: str) -> str:
    """Run a command as the app would; redis-cli itself cannot read a URL with a password and no user."""
    url = urlsplit(environment(project)["REDIS_URL"])
    argv = ["env", f"REDISCLI_AUTH={url.password}", "redis-cli", "-p", str(url.port), "-n", url.path[1:], *command]
    return project.machine.run(*argv).stdout.strip()


def infra(project: Project, name: str) -> str:
    return f"{project.prefix}-dev-infra-{name}.service"


def test_an_app_gets_its_database_and_its_cache(machine: Machine, make: Make) -> None:
    it = project(make, 1, {"database": {"extensions": ["pg_trgm"], "pool": {"max": 4}}, "redis": True})
    it.omnitron("up")
    assert sql(it, "CREATE TABLE t AS SELECT 1; SELECT current_user || similarity('a', 'a')") == "app1"
    env = environment(it)
    assert env["DATABASE_POOL_MAX"] == "4"
    assert redis(it, "incr", "x") == "1"
    assert "NOAUTH" in machine.run("redis-cli", "-p", str(6379 + BASE + 1), "get", "x", check=False).stdout
    rows = {one["name"]: one for one in json.loads(it.omnitron("infra", "status", "--json").stdout)}
    assert {name: (one["provider"], one["status"], one["users"]) for name, one in rows.items()} == {
        name: ("native", "online", ["app"]) for name in ("postgres", "redis")
    }
    assert it.omnitron("infra", "psql", "-XqAtc", "SELECT count(*) FROM t").stdout == "1\n"
    assert it.omnitron("infra", "redis-cli", "get", "x").stdout == "1\n"
    assert "ready to accept connections" in it.omnitron("infra", "logs", "postgres", "-n", "all").stdout
    # Again it is there already.
    machine.systemctl("restart", infra(it, "postgres"))
    said = [entry["MESSAGE"] for entry in machine.journal(infra(it, "postgres"))]
    assert [line for line in said if line.startswith("provisioned")][1:] == ["provisioned: nothing to do"]
    assert sql(it, "SELECT count(*) FROM t") == "1"


def test_an_app_cannot_enter_the_database_of_another(machine: Machine, make: Make) -> None:
    it = project(make, 2, NEEDS, infrastructure={"postgres": {"databases": {"other": {"password": "pw"}}}})
    it.omnitron("up")
    url = environment(it)["DATABASE_URL"]
    done = machine.run("psql", "-XqAt", url.removesuffix("app") + "other", "-c", "SELECT 1", check=False)
    assert "permission denied for database" in done.stderr
    wrong = re.sub(r":[^:@]+@", ":wrong@", url)
    assert "password authentication failed" in machine.run("psql", wrong, "-c", "SELECT 1", check=False).stderr
    as_superuser = re.sub(r"//app:", "//postgres:", url)
    assert "reject" in machine.run("psql", as_superuser, "-c", "SELECT 1", check=False).stderr


def test_a_kill_of_the_server_loses_no_committed_row(machine: Machine, make: Make) -> None:
    it = project(make, 3, NEEDS)
    it.omnitron("up")
    sql(it, "CREATE TABLE t (n int PRIMARY KEY)")
    committed: list[int] = []
    ended = threading.Event()

    def write() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            done = machine.run("psql", "-XqAt", url, "-c", f"INSERT INTO t VALUES ({number})", check=False)
            if done.returncode == 0:
                committed.append(number)

    url = environment(it)["DATABASE_URL"]
    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(3):
            enough = len(committed) + 5
            machine.wait(lambda enough=enough: len(committed) >= enough, 30, "rows are committed")
            machine.systemctl("kill", "--signal=KILL", "--kill-who=main", infra(it, "postgres"))
            machine.wait(lambda: machine.show(infra(it, "postgres"), "ActiveState") == "active", 30, "it is back")
        enough = len(committed) + 5
        machine.wait(lambda: len(committed) >= enough, 30, "rows are committed again")
    finally:
        ended.set()
        writer.join()
    found = {int(line) for line in sql(it, "SELECT n FROM t").split()}
    assert set(committed) <= found
    # A server's crash is its own affair: the app was not restarted for it.
    assert it.status()["app"]["restarts"] == 0
    assert machine.show(infra(it, "postgres"), "NRestarts") == "3"


def test_a_full_disk_loses_no_committed_row(machine: Machine, make: Make) -> None:
    it = project(make, 12, {"database": True})
    place = f"/var/lib/{it.prefix}"
    machine.run("mkdir", "-p", place)
    machine.run("mount", "-t", "tmpfs", "-o", "size=160m,mode=755", "tmpfs", place)
    try:
        it.omnitron("up")
        sql(it, "CREATE TABLE t (n int PRIMARY KEY, filler text)")
        machine.run("sh", "-c", f"cat /dev/zero >{place}/fill 2>/dev/null", check=False)
        committed, refused = 0, 0
        url = environment(it)["DATABASE_URL"]
        while refused < 3 and committed < 500:
            insert = (
                f"INSERT INTO t SELECT {committed}, string_agg(md5(random()::text), '') FROM generate_series(1, 4000)"
            )
            done = machine.run("psql", "-XqAt", url, "-c", insert, check=False)
            committed, refused = committed + (not done.returncode), refused + bool(done.returncode)
        assert refused == 3
        machine.run("rm", f"{place}/fill")
        machine.systemctl("reset-failed", infra(it, "postgres"), check=False)
        it.omnitron("start", "infra-postgres")
        machine.wait(lambda: sql(it, "SELECT count(*) FROM t", check=False).isdigit(), 30, "it answers again")
        assert int(sql(it, "SELECT count(*) FROM t")) >= committed
        sql(it, "INSERT INTO t VALUES (-1, 'x')")
    finally:
        it.omnitron("down", check=False)
        machine.run("umount", "--lazy", place)


def test_a_setting_that_the_server_does_not_know_is_found_by_plan(machine: Machine, make: Make) -> None:
    wrong = {"workMem": "8MBB", "no_such": 1}
    for key, value in wrong.items():
        it = project(make, 16, {"database": True}, infrastructure={"postgres": {"config": {key: value}}})
        done = it.omnitron("plan", check=False)
        assert done.returncode == 3
        assert f"infrastructure.postgres.config.{key}: cannot run postgres with this: " in done.stderr
    assert 'unrecognized configuration parameter "no_such"' in done.stderr


def test_two_stacks_of_one_project_run_side_by_side(machine: Machine, make: Make) -> None:
    it = project(make, 4, NEEDS)
    base = it.definition["stacks"]["dev"]
    other = {**base, "settings": {"portOffsets": {"postgres": BASE + 5, "redis": BASE + 5}}}
    it.definition["stacks"] = {"dev": base, "staging": other}
    it.define([{"name": "app", "bootstrap": "app/bootstrap.json"}])
    it.omnitron("up", "dev")
    it.omnitron("up", "staging")
    sql(it, "CREATE TABLE only_in_dev ()")
    assert it.omnitron("infra", "psql", "--stack", "staging", "-XqAtc", "\\dt").stdout == ""
    assert "only_in_dev" in it.omnitron("infra", "psql", "--stack", "dev", "-XqAtc", "\\dt").stdout
    machine.systemctl("stop", f"{it.prefix}-staging.target")
    assert sql(it, "SELECT 1") == "1"


def test_a_password_that_the_definition_changes_is_changed_everywhere(machine: Machine, make: Make) -> None:
    def saying(password: str) -> dict[str, Any]:
        return {"postgres": {"databases": {"app": {"password": password}}}}

    it = project(make, 10, {"database": {"extensions": ["no_such_extension"]}}, infrastructure=saying("first"))
    it.omnitron("up")
    # An extension that is not there is one app's mistake: the server is there for all others.
    said = [entry["MESSAGE"] for entry in machine.journal(infra(it, "postgres"))]
    assert any("the extension no_such_extension is missing in app" in line for line in said)
    assert sql(it, "SELECT 1") == "1" and ":first@" in environment(it)["DATABASE_URL"]
    it.definition["infrastructure"] = saying("second/@")
    it.define([{"name": "app", "bootstrap": "app/bootstrap.json"}])
    it.omnitron("up")
    assert ":second%2F%40@" in environment(it)["DATABASE_URL"]
    assert sql(it, "SELECT 1") == "1"


def test_what_another_project_has_left_is_not_taken_over(machine: Machine, make: Make) -> None:
    it = project(make, 11, {"redis": True})
    it.omnitron("up")
    it.omnitron("down", "--remove")
    it.definition["project"] = "other"
    it.define([{"name": "app", "bootstrap": "app/bootstrap.json"}])
    done = it.omnitron("generate", check=False)
    assert done.returncode == 1
    assert f"they belong to the project {it.prefix}" in done.stderr


def test_no_verb_takes_another_project_for_the_one_of_its_folder(machine: Machine, make: Make) -> None:
    one, other = project(make, 13, {"redis": True}), project(make, 14, {"redis": True})
    one.omnitron("up")
    for verb in (["down"], ["restart", "app"], ["stop"], ["infra", "reset", "redis", "--yes"], ["maintenance", "on"]):
        done = other.omnitron(*verb, check=False)
        assert done.returncode == 2, verb
        assert f"{other.folder}/omnitron.config.json is not installed; there is dev of {one.folder}" in done.stderr
    assert one.state("app") == "active"
    assert "is not installed" not in machine.omnitron("status", cwd="/").stderr


def test_a_port_that_somebody_has_is_found_before_anything_is_written(machine: Machine, make: Make) -> None:
    it = project(make, 6, {"redis": True})
    port = 6379 + BASE + 6
    listener = [machine.python[-1], "-m", "http.server", "--bind", "127.0.0.1", str(port)]
    machine.run("systemd-run", "--unit=somebody", "--quiet", "--", *listener)
    machine.wait(lambda: str(port) in machine.run("ss", "-ltn").stdout, what="somebody listens")
    try:
        for verb in ("plan", "generate", "up"):
            done = it.omnitron(verb, check=False)
            assert done.returncode == 3
            assert f"cannot give redis port {port}: something on this host listens on it" in done.stderr
        assert machine.run("test", "-e", f"/etc/systemd/system/{it.target}", check=False).returncode
    finally:
        machine.systemctl("stop", "somebody")


def test_a_server_without_its_data_is_made_anew_when_asked(machine: Machine, make: Make) -> None:
    it = project(make, 7, NEEDS)
    it.omnitron("up")
    sql(it, "CREATE TABLE t ()")
    refused = it.omnitron("infra", "reset", "postgres", check=False)
    assert refused.returncode == 2 and "say --yes" in refused.stderr
    assert sql(it, "SELECT count(*) FROM t") == "0"
    it.omnitron("infra", "reset", "postgres", "--yes")
    assert sql(it, "SELECT count(*) FROM pg_tables WHERE tablename = 't'") == "0"
    # A stack that is removed leaves the data of its servers: it is not ours to throw away.
    it.omnitron("down", "--remove")
    machine.run("test", "-d", f"/var/lib/{it.prefix}/dev/infra-postgres/data")


def test_a_database_that_hangs_is_ended_and_comes_back(machine: Machine, make: Make) -> None:
    check = {"type": "tcp", "interval": "500ms", "timeout": "1500ms", "retries": 2, "startPeriod": 0}
    services = {"cache": {"preset": "redis", "healthCheck": check}}
    it = project(make, 8, {"redis": True}, infrastructure={"services": services})
    it.omnitron("up")
    pid = machine.show(infra(it, "cache"), "MainPID")
    machine.systemctl("kill", "--signal=STOP", "--kill-who=main", infra(it, "cache"))

    def is_back() -> bool:
        shown = machine.show(infra(it, "cache"), "ActiveState,MainPID").split()
        return "active" in shown and not {pid, "0"} & set(shown)

    machine.wait(is_back, 30, "it was ended and is back")
    assert redis(it, "ping") == "PONG"


def test_dependents_wait_for_a_unit_of_the_host(machine: Machine, make: Make) -> None:
    search = {"bareMetal": {"systemdUnit": "t-search.service"}, "ports": {"http": 9}, "env": {"SEARCH": "${host}"}}
    machine.write(
        "/etc/systemd/system/t-search.service",
        "[Service]\nType=exec\nExecStartPre=/bin/sleep 1\nExecStart=/bin/sleep infinity\n",
    )
    machine.systemctl("daemon-reload")
    it = project(make, 9, {"infrastructure": {"search": search}})
    started = time.monotonic()
    it.omnitron("up")
    assert time.monotonic() - started > 1
    assert machine.show("t-search.service", "ActiveState") == "active"
    assert environment(it)["SEARCH"] == "127.0.0.1"
    it.omnitron("down")
    assert machine.show("t-search.service", "ActiveState") == "active"
    machine.systemctl("stop", "t-search.service")
