"""The facts about this host, as the planner is handed them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from omnitron.operations.host_facts import accounts, modules, paths, python, servers
from omnitron.planner import questions
from omnitron.planner.facts import Identity, PathFact, VirtualEnvironment
from tests.support.build import bootstrap, facts, loaded, shop, write

NOBODY = 65534
SERVICE = "from omnitron import service\n@service\nclass Mail: ...\n"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@contextmanager
def commands(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The programs that are run meanwhile."""
    programs: list[str] = []

    class Counting(subprocess.Popen[str]):
        def __init__(self, args: list[str], **more: object) -> None:
            programs.append(args[0])
            super().__init__(args, **more)  # type: ignore[call-overload]

    with monkeypatch.context() as patched:
        patched.setattr(subprocess, "Popen", Counting)
        yield programs


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that everybody can get to."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@as_root
def test_what_a_user_can_get_to_takes_one_process(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (shared / "closed").mkdir(mode=0o700)
    (shared / "closed/inner").mkdir()
    (shared / "with space\nand line").touch()
    (shared / "dangling").symlink_to("nowhere")
    reached = {shared, shared / "closed", shared / "not-there/deep", shared / "with space\nand line"}
    reached |= {shared / "dangling", *(shared / f"file-{number}" for number in range(1000))}
    refused = {shared / "closed/inner", shared / "closed/inner/not-there"}
    with commands(monkeypatch) as run:
        pairs = accounts.reachable((NOBODY, path) for path in reached | refused)
    assert {path for _, path in pairs} == reached
    assert run == ["/bin/sh"]


@as_root
def test_more_paths_than_fit_on_a_command_line_are_split(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [shared / f"{number:0250}" for number in range(2 * accounts.BATCH + 1)]
    for file in files:
        file.touch()
    with commands(monkeypatch) as run:
        assert len(accounts.reachable((NOBODY, file) for file in files)) == len(files)
    assert len(run) == 3


@as_root
def test_a_user_without_an_account_gets_nowhere() -> None:
    assert accounts.reachable([(4_000_000, Path("/"))]) == frozenset()


def test_identities() -> None:
    known = accounts.identities([0, 4_000_000])
    assert (known[0].name, known[0].users) == ("root", {"root", "0"})
    assert known[0].groups >= {"root", "0"}
    assert known[4_000_000] == Identity("uid 4000000", frozenset({"4000000"}), frozenset())


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


@as_root
def test_what_others_than_root_may_change(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    assert paths.changeable([tmp_path / "a", tmp_path / "x"]) == {tmp_path / "a": None, tmp_path / "x": None}
    (tmp_path / "a/b/link").symlink_to("nowhere")
    assert paths.changeable([tmp_path / "a"]) == {tmp_path / "a": tmp_path / "a/b/link"}
    (tmp_path / "a/b").chmod(0o777)
    assert paths.changeable([tmp_path / "a"]) == {tmp_path / "a": tmp_path / "a/b"}
    os.chown(tmp_path / "a", NOBODY, -1)
    assert paths.changeable([tmp_path / "a"]) == {tmp_path / "a": tmp_path / "a"}


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
    assert not (nothing.changeable or nothing.secrets or nothing.settings)


def test_a_store_is_read_where_a_stack_has_secrets(tmp_path: Path) -> None:
    app = {"name": "a", "env": {"KEY": "${secret:key}"}}
    for env, stems in ((app["env"], {"omnitron-dev"}), ({}, set())):
        ecosystem = loaded(tmp_path, shop({**app, "env": env}))
        assert questions.of_host(ecosystem, facts(), installs=True).secrets == stems
        assert not questions.of_host(ecosystem, facts(), installs=False).secrets
