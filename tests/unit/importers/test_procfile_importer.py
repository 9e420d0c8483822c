"""Procfiles, line by line."""

import pytest

from omnitron.errors import DefinitionError
from omnitron.importers import emit, import_file
from omnitron.importers.host_files import Surroundings

GROUP = {"systemd": {"service": {"KillMode": "control-group"}}}


@pytest.fixture
def procfile(tmp_path):
    def run(text, env=None):
        (tmp_path / "Procfile").write_bytes(text.encode())
        if env is not None:
            (tmp_path / ".env").write_bytes(env.encode())
        return import_file("procfile", tmp_path / "Procfile", Surroundings(tmp_path, tmp_path))

    return run


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("web: node x.js", {"command": ["node", "x.js"]}),
        ("web:node x.js", {"command": ["node", "x.js"]}),
        ("web:\t node  x.js  \r", {"command": ["node", "x.js"]}),
        ("web: a:b --c=1", {"command": ["a:b", "--c=1"]}),
        ("web: x -p $PORT", {"command": ["/bin/sh", "-c", "exec x -p $PORT"]}),
        ("web: A=1 x", {"command": ["/bin/sh", "-c", "A=1 exec x"]}),
        ("web: x | y", {"command": ["/bin/sh", "-c", "x | y"], **GROUP}),
        ("web: x && y", {"command": ["/bin/sh", "-c", "x && exec y"], **GROUP}),
        ("web: cd x && y", {"command": ["/bin/sh", "-c", "cd x && exec y"]}),
    ],
)
def test_a_line(procfile, line, wanted):
    imported = procfile(line)
    assert imported.definition["apps"] == [{"name": "web", "env": {"PORT": "5000"}, **wanted}]
    assert not imported.warnings


def test_foreman_s_ports_and_variables(procfile):
    imported = procfile("# all\r\n\r\na: x\r\nb: x\r\nc: x", "A=1\nPORT=7000\nB='$A %'\n")
    assert [app["env"]["PORT"] for app in imported.definition["apps"]] == ["7000", "7100", "7200"]
    assert imported.definition["stacks"] == {"dev": {"type": "local", "settings": {"env": {"A": "1", "B": "$A %"}}}}
    assert not imported.warnings


@pytest.mark.parametrize(
    ("env", "ports", "why"),
    [
        ("PORT=http", ["5000", "5100"], "'http' is not a port"),
        ("PORT=65500", ["65500", None], "65600 is not a port"),
        ("PORT=0", [None, "100"], "0 is not a port"),
    ],
)
def test_ports_that_are_none(procfile, env, ports, why):
    imported = procfile("a: x\nb: x", env)
    assert [app.get("env", {}).get("PORT") for app in imported.definition["apps"]] == ports
    assert [why in str(warning) for warning in imported.warnings] == [True]


def test_a_path_in_the_environment_is_searched_by_a_shell(procfile):
    imported = procfile("a: rake x\nb: ./rake x", "PATH=/opt/ruby/bin:/usr/bin")
    assert [app["command"] for app in imported.definition["apps"]] == [
        ["/bin/sh", "-c", "exec rake x"],
        ["./rake", "x"],
    ]


def test_a_release_is_not_started(procfile):
    imported = procfile("release: migrate\nweb: x")
    assert [app.get("enabled") for app in imported.definition["apps"]] == [False, None]
    assert [warning.path for warning in imported.warnings] == ["release"]


def test_names(procfile):
    imported = procfile("-a-: x\ngateway: x\na: x\nb-c: x\nb_c: x\n" + "n" * 60 + ": x")
    names = [app["name"] for app in imported.definition["apps"]]
    assert names == ["a", "gateway-2", "a-2", "b-c", "b_c-2", "n" * 40]
    assert [warning.line for warning in imported.warnings] == [1, 2, 3, 5, 6]


def test_lines_that_are_no_processes(procfile):
    imported = procfile("one\n: x\na:\n# fine\n\nweb: x\n two: y z\nlast")
    assert [app["name"] for app in imported.definition["apps"]] == ["web"]
    assert [warning.line for warning in imported.warnings] == [1, 2, 3, 7, 8]
    text = emit.document(imported.definition)
    assert text.index("Procfile, line 3: a:") < text.index("- name: web") < text.index("Procfile, line 8: last")


def test_a_name_that_is_there_twice(procfile):
    with pytest.raises(DefinitionError, match="Procfile:3: web: cannot have this process twice: it is in line 1 too"):
        procfile("web: x\nother: x\nweb: y")
