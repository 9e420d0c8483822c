"""No text of a definition can add a line, a directive or a section: it is refused, or read back unchanged."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from omnitron.definition.loader import load
from omnitron.errors import DefinitionError, OmnitronError
from omnitron.names import WATCHER
from omnitron.planner.plan import make_plan
from omnitron.policy.codec import unmarshal
from omnitron.policy.model import StackPolicy
from omnitron.render.escape import UnsayableError
from omnitron.render.files import render
from omnitron.render.unitfile import parse
from tests.support.build import bootstrap, facts, shop, write
from tests.support.unit_reader import check

NASTY = "\n\r\t\0\x01\x1b\x7f\x85\u2028\u00a0%$\\\"'`[]{}=;#:<>*?&|!-+@~^, ./azAZ09é漢\U0001f600\ud800"
PIECES = ["\n", "\\", "\\\n", "%", "%n", "%%", "$X", "${X}", "[Service]\n", "ExecStart=/bin/evil", "\0"]
PIECES += [
    "\nExecStartPre=/bin/evil\n",
    "#",
    ";",
    '"',
    "'",
    "Digest=@",
    " ",
    "=",
    "\u2028",
    "\r",
    "..",
    "~",
    "x",
    "\1",
    "{{ user }}",
]
nasty = st.lists(st.sampled_from(PIECES) | st.sampled_from(NASTY), max_size=6).map("".join)
name = st.sampled_from(["api", "a.b-c", "_"]) | st.text(st.sampled_from("ab-_."), min_size=1, max_size=9)
path = st.builds("/srv/{}".format, nasty) | nasty
directive = st.sampled_from(["Nice", "ExecReload", "X-Mine"]) | nasty


def sometimes(usual: Any, odd: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.just(usual) | st.just(usual) | st.just(usual) | odd


argv = st.lists(nasty, max_size=3).map(lambda words: ["/bin/x", *words]) | st.lists(nasty, min_size=1, max_size=2)
probe = st.fixed_dictionaries({"type": st.just("command"), "command": nasty | argv}) | st.fixed_dictionaries(
    {"type": st.just("http"), "target": st.builds("http://h/{}".format, nasty)}
)
listener = {"port": st.just(3000), "host": sometimes("::1", nasty), "socketActivation": st.booleans()}
folders = {
    "state": sometimes("x", nasty),
    "cache": sometimes("y/z", path),
    "write": st.lists(path | st.builds("/tmp/{}".format, nasty), max_size=2),
}
directives = st.dictionaries(directive, nasty | st.lists(nasty, max_size=2), max_size=2)

settings_of_a_process = st.fixed_dictionaries(
    {"name": sometimes("api", name | nasty)},
    optional={
        "command": argv,
        "env": st.dictionaries(sometimes("A", nasty), nasty, max_size=3),
        "user": sometimes("www-data", nasty),
        "group": sometimes("adm", nasty),
        "paths": st.fixed_dictionaries({}, optional=folders),
        "limits": st.fixed_dictionaries({"cpuQuota": sometimes("50%", nasty)}),
        "health": st.fixed_dictionaries({"probe": probe}),
        "transports": st.fixed_dictionaries({"http": st.fixed_dictionaries(listener)}),
        "systemd": st.fixed_dictionaries({}, optional={"unit": directives, "service": directives}),
        "instances": st.sampled_from([1, 2]),
        "critical": st.booleans(),
        "hardening": st.sampled_from(["strict", "standard", "off"]),
    },
)


@st.composite
def ecosystems(draw: st.DrawFn) -> dict[str, Any]:
    app = draw(settings_of_a_process)
    stack = {"type": "local", "settings": {"env": draw(st.dictionaries(sometimes("B", nasty), nasty, max_size=1))}}
    more = {
        "project": draw(sometimes("shop", name | nasty)),
        "unitPrefix": draw(sometimes("acme", name | nasty)),
        "stacks": {draw(sometimes("dev", name | nasty)): stack},
        "logging": draw(st.sampled_from([{}, {"maxFiles": 1}])),
    }
    return shop(app, {"name": "last", "dependsOn": [app["name"]]}) | more


def check_all(file: Path, scope: str = "system") -> None:
    """Every file of the plan reads back as planned."""
    ecosystem = load(file)
    for stack in make_plan(ecosystem, facts(scope=scope)).stacks:
        files = {(each.place, each.name): each.text for each in render(stack)}
        for unit in stack.units:
            found = check(unit, files["units", unit.name])
            of_all = unit.name == WATCHER
            assert of_all or ("Project", ecosystem.config.project) in found["X-Omnitron"]
        assert unmarshal(StackPolicy, files["policy", f"{stack.names.stem}.json"], "it") == stack.policy
        if stack.journal_settings:
            assert parse(files["journald", stack.names.stem]) == {"Journal": list(stack.journal_settings)}


def own_folder(factory: pytest.TempPathFactory) -> Path:
    """One folder for all examples, in which no other test looks for a definition."""
    folder = factory.getbasetemp() / "injection"
    folder.mkdir(exist_ok=True)
    return folder


@given(ecosystems(), st.sampled_from(["system", "user"]))
@settings(max_examples=200, suppress_health_check=list(HealthCheck), deadline=None)
@example(shop({"name": "a", "env": {"A": "x\nExecStartPre=/bin/evil"}}), "system")
@example(shop({"name": "a", "command": ["/bin/sh", "-c", "echo $HOME; date +%d\n[Unit]"]}), "system")
@example(shop({"name": "a", "command": ["/bin/it's"]}), "system")
@example(shop({"name": "a", "systemd": {"service": {"Digest": "@"}}}), "system")
@example(shop({"name": "a", "paths": {"write": ["/tmp/a:b", "/srv/a\\b", '/srv/"']}}), "user")
def test_texts_of_an_ecosystem(tmp_path_factory: pytest.TempPathFactory, data: dict[str, Any], scope: str) -> None:
    file = write(own_folder(tmp_path_factory), json.dumps(data), ".json")
    with suppress(DefinitionError, UnsayableError):
        check_all(file, scope)


sayable = nasty.filter(
    lambda text: "\ud800" not in text and not any((c < " " and c not in "\t\n") or c == "\x7f" for c in text)
)


@given(st.lists(sayable, max_size=4), st.dictionaries(st.sampled_from("ABC"), sayable), sayable.filter(str.isprintable))
@settings(max_examples=150, suppress_health_check=list(HealthCheck), deadline=None)
def test_what_can_be_said_is_not_refused(
    tmp_path_factory: pytest.TempPathFactory, words: list[str], env: dict[str, str], path: str
) -> None:
    probe = {"type": "command", "command": ["/bin/x", *words]}
    raw = {"X-Path": path if not path.endswith("\\") else ""}
    app = {"command": ["/bin/x", *words], "env": env, "health": {"probe": probe}, "systemd": {"service": raw}}
    more = {"paths": {"write": [f"/srv/{path}"]}, "instances": 2}
    check_all(write(own_folder(tmp_path_factory), json.dumps(shop({"name": "a", **app, **more})), ".json"))


@given(settings_of_a_process, nasty)
@settings(max_examples=100, suppress_health_check=list(HealthCheck), deadline=None)
def test_texts_of_a_bootstrap(tmp_path_factory: pytest.TempPathFactory, process: dict[str, Any], env: str) -> None:
    folder = own_folder(tmp_path_factory)
    system = {"name": "x", "processes": [process, {"name": "z", "command": ["x"]}], "env": {"C": env}}
    write(folder, json.dumps({"name": "x", **system}), ".json", "bootstrap")
    with suppress(DefinitionError, UnsayableError):
        check_all(write(folder, shop({"name": "a", "bootstrap": "bootstrap.json"}), ".json"))


PLAIN = ["a b", "50%", "%n", "$HOME", "[Unit]", "a:b", "é", "-x", ";", "{{ user }}", "Digest=@"]
UNSAYABLE = ["it's", 'say "x"', "a\\b", "a\\", "a\nb", " a ", "\udcff"]


@pytest.mark.parametrize("folder", PLAIN + UNSAYABLE)
@pytest.mark.parametrize("kind", ["command", "script"])
def test_folders_of_a_project(tmp_path: Path, folder: str, kind: str) -> None:
    project = tmp_path / folder
    write(project, "#!/bin/sh\n", ".sh", "run").chmod(0o755)
    entry = {"command": ["./run.sh"]} if kind == "command" else {"script": "run.sh"}
    file = write(project, shop({"name": "a", **entry}))
    if folder in UNSAYABLE:
        with pytest.raises(UnsayableError):
            check_all(file)
    else:
        check_all(file)


def test_a_bootstrap_in_a_folder_of_any_name(tmp_path: Path) -> None:
    file = bootstrap(tmp_path / "50% of 'it'", {"name": "a", "command": ["./x y"]})
    with pytest.raises(OmnitronError, match="cannot contain a quote or a backslash"):
        check_all(write(tmp_path, shop({"name": "a", "bootstrap": file, "cwd": "50% of 'it'"})))
