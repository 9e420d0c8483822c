"""What goes into a definition comes out in the process, byte for byte, through a real systemd."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.support.machines import Machine
from tests.support.projects import Make

SHOW = """\
import json, os, sys
sys.stdout.flush()
with open(sys.argv[1], "w") as file:
    json.dump({"argv": sys.argv[2:], "env": dict(os.environ)}, file)
"""

NASTY = [
    "%",
    "%%",
    "%n",
    "%d",
    "$HOME",
    "${HOME}",
    "$$",
    '"',
    "'",
    "\\",
    "\\n",
    "\n",
    "\t",
    " ",
    "  x",
    "#",
    ";",
    "ü",
    "€",
    "\U0001f600",
    "=",
    "[Service]",
    "\nExecStart=/bin/false",
    "@",
    "-",
    "+",
    "!",
    ":",
    "\\x41",
    "{}",
    "*",
    "",
]

# An argument may hold any character but NUL; a variable's value no control characters but tab and newline.
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
printable = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"], include_characters="\n\t"), max_size=20)
argument = st.one_of(st.sampled_from(NASTY), texts, st.lists(st.sampled_from(NASTY), max_size=4).map("".join))
value = st.one_of(st.sampled_from(NASTY), printable, st.lists(st.sampled_from(NASTY), max_size=4).map("".join))
processes = st.lists(
    st.tuples(
        st.lists(argument, max_size=5),
        st.dictionaries(st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}X", fullmatch=True), value, max_size=4),
    ),
    min_size=25,
    max_size=25,
)


def test_arguments_and_environment_arrive_unchanged(machine: Machine, make: Make) -> None:
    project = make([])
    script = project.write("show.py", SHOW)
    out = f"/run/{project.prefix}-out"
    machine.run("install", "-d", "-m", "777", out)

    @seed(20261124)
    @settings(max_examples=6, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(processes)
    def check(drawn: list[tuple[list[str], dict[str, str]]]) -> None:
        apps: list[dict[str, Any]] = [
            {
                "name": f"a{number}",
                "command": ["/usr/bin/python3", script, f"{out}/{number}", *arguments],
                "env": environment,
                "paths": {"write": [out]},
            }
            for number, (arguments, environment) in enumerate(drawn)
        ]
        # The first value of each kind that is known to be hard, in every run.
        apps[0]["command"] += NASTY
        apps[0]["env"] = {f"N{index}": nasty for index, nasty in enumerate(NASTY)}
        project.define(apps)
        machine.run("sh", "-c", f"rm -f {out}/*")
        project.omnitron("generate")
        machine.systemctl("restart", project.target)
        count = ["sh", "-c", f"ls {out} | wc -l"]
        machine.wait(lambda: int(machine.run(*count).stdout) == len(apps), 30, "every process has reported")
        machine.wait(
            lambda: (
                not machine.systemctl("list-units", "--state=active", "--no-legend", f"{project.prefix}-*-main.service")
            ),
            30,
            "every process has ended",
        )
        for number, app in enumerate(apps):
            got = json.loads(machine.read(f"{out}/{number}"))
            assert got["argv"] == app["command"][3:]
            assert {name: got["env"].get(name) for name in app["env"]} == app["env"]

    check()


def test_precedence_and_omnitron_variables(machine: Machine, make: Make) -> None:
    """process < app's definition < app's entry < stack < OMNITRON_*"""
    stacks = {"dev": {"type": "local", "settings": {"env": {"C": "stack", "D": "stack", "OMNITRON_STACK": "lie"}}}}
    project = make([], stacks=stacks)
    bootstrap = {
        "name": "app",
        "env": {"A": "system", "B": "system"},
        "processes": [{"name": "one", "command": ["sleep", "99"], "env": {"A": "process", "P": "process"}}],
    }
    project.write("bootstrap.json", json.dumps(bootstrap))
    project.define([{"name": "app", "bootstrap": "bootstrap.json", "env": {"B": "entry", "C": "entry", "E": "entry"}}])
    project.omnitron("up")
    text = machine.read(f"/proc/{project.pid('app', 'one')}/environ")
    env = dict(pair.split("=", 1) for pair in text.split("\0") if pair)
    wanted = {"P": "process", "A": "system", "B": "entry", "E": "entry", "C": "stack", "D": "stack"}
    assert {name: env[name] for name in wanted} == wanted
    assert (env["OMNITRON_STACK"], env["OMNITRON_STACK_TYPE"]) == ("dev", "local")
    assert (env["OMNITRON_PROJECT"], env["OMNITRON_APP_NAME"]) == (project.prefix, "app")
    shown = dict(line.split("=", 1) for line in project.omnitron("env", "app").stdout.splitlines())
    assert {name: shown[name] for name in wanted} == wanted
