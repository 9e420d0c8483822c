"""The facts about this host, as the planner is handed them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from omnitron.operations.host_facts import modules, paths, python, servers
from omnitron.planner import questions
from omnitron.planner.facts import PathFact, VirtualEnvironment
from tests.support.build import bootstrap, facts, loaded, shop, write

SERVICE = "from omnitron import service\n@service\nclass Mail: ...\n"


def test_kinds_of_paths(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("file")
    kinds = {
        path.name: fact for path, fact in paths.kinds(map(tmp_path.joinpath, ["file", "fifo", "link", "x"])).items()
    }
    mine = os.geteuid()
    assert kinds == {
        "file": PathFact("file", mine),
        "fifo": PathFact("other", mine),
        "link": PathFact("file", mine),
        "x": PathFact("none"),
    }
    assert paths.kinds([tmp_path, tmp_path / "a\0b"]).popitem()[1] == PathFact("none")


def test_virtual_environments(tmp_path: Path) -> None:
    for name in ("own", "plain"):
        (tmp_path / name / "bin").mkdir(parents=True)
        (tmp_path / name / "bin/python").symlink_to(sys.executable)
    (tmp_path / "own/lib/python3.11/site-packages/omnitron-1.0.dist-info").mkdir(parents=True)
    prefix = Path(sys.executable).resolve().parent.parent
    places = [tmp_path / name / "bin/python" for name in ("own", "plain", "missing")]
    assert python.environments(places) == {
        places[0]: VirtualEnvironment(prefix, True),
        places[1]: VirtualEnvironment(prefix, False),
    }


def test_services_of_modules(tmp_path: Path) -> None:
    write(tmp_path, SERVICE, ".py", "mail")
    known = modules.services([("mail", (tmp_path,)), ("gone", (tmp_path,))])
    assert known == {("mail", (tmp_path,)): frozenset({"Mail"}), ("gone", (tmp_path,)): None}


def test_a_server_that_is_not_installed_refuses_nothing() -> None:
    assert servers.refusals([("redis", (("maxmemory", "x"),))]) == {("redis", (("maxmemory", "x"),)): None}


def test_a_definition_asks_about_what_it_names_alone(tmp_path: Path) -> None:
    process = {"name": "p", "module": "m", "topology": {"expose": True}}
    apps = [
        {"name": "host", "bootstrap": bootstrap(tmp_path, process)},
        {"name": "plain", "command": ["/bin/x"], "cwd": "elsewhere"},
        {"name": "script", "script": "a.py", "cwd": "sub", "watch": "src"},
    ]
    write(tmp_path, SERVICE, ".py", "m")
    write(tmp_path / "sub", "", ".py", "a")
    (tmp_path / "elsewhere").mkdir()
    found = questions.of_definition(loaded(tmp_path, shop(*apps)), facts())
    folders = {path.parents[2] for path in found.interpreters}
    assert folders == {tmp_path, tmp_path / "sub"}
    assert found.modules == {("m", (tmp_path,))}
    assert found.paths == {tmp_path / "sub/src"}
    nothing = questions.of_host(loaded(tmp_path, shop(*apps)), facts(), installs=True)
    assert not (nothing.read or nothing.secrets or nothing.settings)


def test_a_store_is_read_where_a_stack_has_secrets(tmp_path: Path) -> None:
    app = {"name": "a", "env": {"KEY": "${secret:key}"}}
    for env, stems in ((app["env"], {"omnitron-dev"}), ({}, set())):
        ecosystem = loaded(tmp_path, shop({**app, "env": env}))
        assert questions.of_host(ecosystem, facts(), installs=True).secrets == stems
        assert not questions.of_host(ecosystem, facts(), installs=False).secrets


def test_what_is_read_as_root_because_a_definition_says_so(tmp_path: Path) -> None:
    (tmp_path / "jwt.key").touch()
    jwt = {"auth": {"jwt": {"enabled": True, "keyFile": "jwt.key", "algorithm": "RS256"}}}
    hosted = bootstrap(tmp_path, {"name": "p", "module": "m", **jwt}, {"name": "open", "module": "m", "auth": False})
    gateway = {"port": 8080, "configDir": "nginx", "maintenance": {"page": "down.html"}}
    ecosystem = loaded(tmp_path, shop({"name": "a", "bootstrap": hosted}, gateway=gateway))
    read = questions.of_host(ecosystem, facts(), installs=False).read
    assert read == {tmp_path / "jwt.key", tmp_path / "nginx", tmp_path / "down.html"}
    assert not questions.of_host(ecosystem, facts(scope="user"), installs=False).read
