"""Every kind of error, exactly as it reads, with its line in every format."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.build import FORMATS, bootstrap, problems, shop, write

PORT = {"transports": {"http": {"port": 3000}}}
NOT_A_NAME = "may hold letters, digits, '_', '-' and '.', and must begin and end with a letter, digit or '_'"
NOT_A_DURATION = 'must be a duration such as 500, "30s" or "5min", not'


def only(**settings: Any) -> dict[str, Any]:
    return shop({"name": "web", **settings})


# What is wrong; a text that is in the line of the problem, with its number where there are more; the problem.
ONE_VALUE = [
    (
        only(comand=["x"]),
        "comand",
        "apps.web.comand: cannot use this key: it is unknown (did you mean 'command'?)",
    ),
    (
        only(cmd="x"),
        "cmd",
        "apps.web.cmd: cannot use this key: it is unknown (it is called 'command' here)",
    ),
    (
        only(replicas=80),
        "replicas",
        "apps.web.replicas: cannot use this key: it is unknown (it is called 'instances' here)",
    ),
    (
        shop(qqq={"a": 1}),
        "qqq",
        "qqq: cannot use this key: it is unknown",
    ),
    (
        only(health={"probe": {"type": "tcp", "taget": "x"}}),
        "taget",
        "apps.web.health.probe.taget: cannot use this key: it is unknown (did you mean 'target'?)",
    ),
    (
        only(depends_on=[], dependsOn=[]),
        "depends_on",
        "apps.web.depends_on: cannot use this key: it is there twice, once as 'dependsOn'",
    ),
    (only(critical="sure"), "sure", "apps.web.critical: cannot be text: it must be true or false"),
    (only(instances=1.5), "1.5", "apps.web.instances: cannot be a number: it must be a whole number"),
    (only(instances=0), "instances", "apps.web.instances: cannot be 0: it must be at least 1"),
    (only(dependsOn="api"), "dependsOn", "apps.web.dependsOn: cannot be text: it must be a list"),
    (only(limits=7), "limits", "apps.web.limits: cannot be a number: it must be a mapping"),
    (
        only(hardening="strikt"),
        "strikt",
        "apps.web.hardening: cannot be 'strikt': it must be one of strict, standard, off (did you mean 'strict'?)",
    ),
    (
        only(env={"A_B": "x", "AB": True}),
        "AB",
        "apps.web.env.AB: cannot use this value: must be text, not bool; put it in quotes",
    ),
    (
        shop({"name": "my app"}),
        "my app",
        f"apps.my app.name: cannot use this value: 'my app' is not a name: it {NOT_A_NAME}",
    ),
    (
        shop(supervision={"window": "soon"}),
        "soon",
        f"supervision.window: cannot use this value: {NOT_A_DURATION} 'soon'",
    ),
    (
        only(watch={"directory": "src", "debounce": "x"}),
        "debounce",
        f"apps.web.watch.debounce: cannot use this value: {NOT_A_DURATION} 'x'",
    ),
    (
        only(watch={"directory": "src", "ignore": ["*.log", "[z-a]"]}),
        "z-a",
        "apps.web.watch.ignore.1: cannot use this value: must be a pattern as in a .gitignore, not '[z-a]'",
    ),
    (
        only(limits={"cpuQuota": "١٢%"}),
        "cpuQuota",
        "apps.web.limits.cpuQuota: cannot be '١٢%': it must match the pattern ^[0-9]{1,6}%$",
    ),
]
THE_WHOLE = [
    (
        shop({"name": "twin"}, {"name": "twin"}),
        "twin#2",
        "apps.twin.name: cannot use the name 'twin': it is there twice",
    ),
    (
        shop({"name": "my-app"}, {"name": "my_app"}),
        "my_app",
        "apps.my_app.name: cannot use the name 'my_app': its units would have the same names as those of 'my-app'",
    ),
    (
        shop({"name": "health"}),
        "health",
        "apps.health.name: cannot use the name 'health': it is reserved for units of omnitron's own",
    ),
    (
        shop({"name": "web", "dependsOn": ["apo"]}, {"name": "api"}),
        "apo",
        "apps.web.dependsOn.0: cannot depend on 'apo': there is no such app (did you mean 'api'?)",
    ),
    (
        shop({"name": "a", "dependsOn": ["c"]}, {"name": "b", "dependsOn": ["a"]}, {"name": "c", "dependsOn": ["b"]}),
        "dependsOn",
        "apps.a.dependsOn: cannot order the apps: a → c → b → a is a loop",
    ),
    (
        shop({"name": "a", "dependsOn": ["a"]}),
        "dependsOn",
        "apps.a.dependsOn: cannot order the apps: a → a is a loop",
    ),
    (
        only(command=["x"], script="s.py"),
        "command",
        "apps.web.command: cannot have both script and command: pick one",
    ),
    (
        shop({"name": "web", **PORT}, {"name": "api", **PORT}),
        "3000#2",
        "apps.api.transports.http.port: cannot listen on 3000: web:main does in the same stack",
    ),
    (
        only(transports={"websocket": {"port": 81, "host": "localhost", "socketActivation": True}}),
        "localhost",
        "apps.web.transports.websocket.host: cannot let systemd listen on 'localhost': it must be an IP address",
    ),
    (
        only(transports={kind: {"port": 81, "socketActivation": True} for kind in ("http", "websocket")}),
        "81#2",
        "apps.web.transports.websocket.port: cannot let systemd listen on 81 twice",
    ),
    (
        only(systemd={"service": {"exec": "x"}}),
        "exec",
        "apps.web.systemd.service.exec: 'exec' is not the name of a directive",
    ),
    (
        only(systemd={"service": {"StartLimitBurst": 5}}),
        "StartLimitBurst",
        "apps.web.systemd.service.StartLimitBurst: cannot be here: systemd reads it in the [Unit] section only",
    ),
    (
        only(systemd={"unit": {"Documentation": ["a", "b\nExecStart=c"]}}),
        "Documentation",
        "apps.web.systemd.unit.Documentation: cannot be said in one line of a unit file",
    ),
    (only(group="a b"), "a b", "apps.web.group: 'a b' is not the name of a group"),
    (only(paths={"write": ["/a\tb"]}), "/a\\tb", "apps.web.paths.write.0: cannot use '/a\\tb' as a path"),
    (
        only(health={"probe": {"type": "http", "target": "/x"}}),
        "probe",
        "apps.web.health.probe: cannot probe a path: the process declares no transport with a port",
    ),
    (
        only(health={"probe": {"type": "http", "target": "ftp://x"}}),
        "probe",
        "apps.web.health.probe: cannot probe 'ftp://x': it is neither an http:// URL nor a path",
    ),
    (
        only(health={"probe": {"type": "tcp"}}),
        "probe",
        "apps.web.health.probe: cannot probe: give a target, or a transport with a port",
    ),
    (
        only(health={"probe": {"type": "tcp", "target": "host:99999"}}),
        "probe",
        "apps.web.health.probe: cannot probe 'host:99999': it must be host:port or unix:/path",
    ),
    (
        only(health={"probe": {"type": "command"}}),
        "probe",
        "apps.web.health.probe: cannot probe: type command needs a command",
    ),
    (
        only(health={"probe": {"type": "tcp", "command": ["x"]}}),
        "probe",
        "apps.web.health.probe: cannot use command with type tcp",
    ),
    (
        only() | {"stacks": {"dev": {"type": "local", "apps": ["wep"]}}},
        "wep",
        "stacks.dev.apps.0: cannot run 'wep': there is no such app (did you mean 'web'?)",
    ),
    (
        shop(
            {"name": "front", "dependsOn": ["api"]}, {"name": "api"}, stacks={"x": {"type": "local", "apps": ["front"]}}
        ),
        "front#2",
        "stacks.x.apps.0: cannot run 'front' without 'api': it depends on it",
    ),
    (
        only() | {"stacks": {"x-y": {"type": "local", "apps": []}, "x_y": {"type": "local", "apps": []}}},
        "x_y",
        "stacks.x_y: cannot use the name 'x_y': its units would be those of 'x-y'",
    ),
    (
        only() | {"stacks": {"far": {"type": "remote", "apps": []}}},
        "far",
        "stacks.far: cannot be remote: a remote stack has exactly one node",
    ),
    (
        only() | {"stacks": {"far": {"type": "cluster", "nodes": [{"host": "h", "role": "app"}]}}},
        "far",
        "stacks.far: cannot be a cluster: it has fewer than two nodes",
    ),
    (
        only() | {"stacks": {"dev": {"type": "local", "portRange": {"start": 2, "end": 1}}}},
        "portRange",
        "stacks.dev.portRange: cannot give out ports: the end is below the start",
    ),
]


def line_with(path: Path, token: str) -> int:
    text, _, count = token.partition("#")
    # JSON, TOML and Python write a tab as \t, YAML does inside double quotes.
    return [number for number, line in enumerate(path.read_text().split("\n"), 1) if text in line][int(count or 1) - 1]


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(("data", "token", "problem"), ONE_VALUE + THE_WHOLE)
def test_each_problem_reads_alike_in_every_format(
    tmp_path: Path, suffix: str, data: dict[str, Any], token: str, problem: str
) -> None:
    (tmp_path / "s.py").touch()
    path = write(tmp_path, data, suffix)
    assert problems(path) == [f"{path.name}:{line_with(path, token)}: {problem}"]


MISSING = {
    ".yaml": "project: shop\napps:\n- name: a\n  command: [x]\n- command: [x]\n",
    ".json": '{"project": "shop", "apps": [\n {"name": "a",\n "command": ["x"]},\n\n {"command": ["x"]}]}\n',
    ".toml": 'project = "shop"\n[[apps]]\nname = "a"\ncommand = ["x"]\n[[apps]]\ncommand = ["x"]\n',
    ".py": "from omnitron import define_ecosystem as define\n_ = define(project='shop', apps=[\n dict(name='a',\n"
    " command=['x']),\n dict(command=['x'])])",
}


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_is_missing_is_told_at_the_line_of_what_lacks_it(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path, MISSING[suffix], suffix)
    assert problems(path) == [f"{path.name}:5: apps.1.name: cannot do without this key: it is missing"]


@pytest.mark.parametrize(
    ("suffix", "text", "problem"),
    [
        (".yaml", "project: a\nb: 1\nproject: c\n", "3: cannot parse: the key 'project' is there twice"),
        (".yaml", "apps:\n- {a: 1,\n   a: 2}\n", "3: cannot parse: the key 'a' is there twice"),
        (
            ".json",
            '{"a": {"b": 1},\n "c": {"b": "b",\n "b": 2},\n "b": 3}',
            "3: cannot parse: the key 'b' is there twice",
        ),
        (".json", '{"a": 1,\n "\\u0061": 2}', "2: cannot parse: the key 'a' is there twice"),
        (".toml", 'a = 1\nb = """\na = 2"""\na = 3\n', "4: cannot parse: …"),
        (".py", "f(a=1,\n a=2)", "2: cannot parse: …"),
    ],
)
def test_a_key_that_is_there_twice(tmp_path: Path, suffix: str, text: str, problem: str) -> None:
    (message,) = problems(write(tmp_path, text, suffix))
    # Where the parser notices, its words follow.
    assert message.startswith(f"omnitron.config{suffix}:{problem.removesuffix('…')}")


def test_lines_of_toml_in_spite_of_what_its_strings_say(tmp_path: Path) -> None:
    text = """project = "shop" # \"\"\"
[[apps]]
name = "a"
command = ["x"]
env = {A = '''
[[apps]]
typo = 1
''', B = \"\"\"
it\\\"\"
[logging]\"\"\"}
"quoted key" = 1
typo = 1
"""
    assert problems(write(tmp_path, text, ".toml")) == [
        "omnitron.config.toml:11: apps.a.quoted key: cannot use this key: it is unknown",
        "omnitron.config.toml:12: apps.a.typo: cannot use this key: it is unknown",
    ]


def test_a_union_reports_what_was_meant(tmp_path: Path) -> None:
    file = bootstrap(tmp_path, {"name": "a", "command": ["x"]})
    write(tmp_path / "config", {"omnitron": {"database": {"dialect": "oracle"}, "redis": 5}}, ".json", "default")
    found = problems(write(tmp_path, shop({"name": "app", "bootstrap": file})))
    assert [line.removeprefix("config/default.json:") for line in found] == [
        "4: omnitron.database.dialect: cannot be 'oracle': it must be one of postgres, mysql, sqlite",
        "6: omnitron.redis: cannot be a number: it must be true or false",
    ]


def test_the_files_of_an_app_are_judged_like_the_ecosystem(tmp_path: Path) -> None:
    processes = [
        {"name": "http", **PORT},
        {"name": "two", "command": ["x"], "module": "m"},
        {"name": "two", "module": "m"},
    ]
    file = bootstrap(tmp_path / "api", *processes)
    write(tmp_path / "api/config", "{", ".json", "default")
    path = write(tmp_path, shop({"name": "api", "bootstrap": file}, {"name": "b", **PORT}))
    shown = [re.sub("(: cannot parse: ).*", r"\1…", line) for line in problems(path)]  # the parser's words follow
    assert shown == [
        "api/bootstrap.yaml:3: processes.http: Process http must have a module path",
        "api/bootstrap.yaml:8: processes.two.command: cannot have both module and command: pick one",
        "api/bootstrap.yaml:11: processes.two.name: Duplicate process name two",
        "api/config/default.json:1: cannot parse: …",
        "omnitron.config.yaml:13: apps.b.transports.http.port: cannot listen on 3000: api:http does in the same stack",
    ]


def test_apps_that_share_a_port_but_no_stack_are_fine(tmp_path: Path) -> None:
    apart = {name: {"type": "local", "apps": [name]} for name in ("a", "b")}
    assert not problems(write(tmp_path, shop({"name": "a", **PORT}, {"name": "b", **PORT}, stacks=apart)))


@pytest.mark.parametrize(
    ("hosts", "clash"),
    [
        (("127.0.0.1", "127.0.0.2"), False),
        (("127.0.0.1", "0.0.0.0"), True),
        (("::", "127.0.0.1"), True),
        (("::1", "::1"), True),
    ],
)
def test_one_port_on_two_addresses(tmp_path: Path, hosts: tuple[str, str], clash: bool) -> None:
    apps = [{"name": f"a{i}", "transports": {"http": {"port": 1, "host": host}}} for i, host in enumerate(hosts)]
    assert bool(problems(write(tmp_path, shop(*apps)))) is clash


def test_everything_is_reported_at_once_and_nothing_twice(tmp_path: Path) -> None:
    """First and second look, and the files of the apps; nothing that only follows from something else."""
    file = bootstrap(
        tmp_path / "e", {"name": "x", "command": ["x"], "env": {"A-B": ""}, "user": "a b"}, {"module": "m"}
    )
    text = f"""project: 5
apps:
- name: a
  command: [x]
  env: {{A_B: true}}
  dependsOn: [zz]
- name: b
  comand: [x]
- command: [y]
  dependsOn: [b]
- name: d
  command: [z]
  transports: {{http: {{}}}}
  health: {{probe: {{type: http, target: /x}}}}
  dependsOn: [a, e]
- name: e
  bootstrap: {file}
  dependsOn: [d]
- name: f
  cwd: 5
  bootstrap: not-looked-for.py
- api
- name: a
  command: [x]
stacks:
  dev: {{}}
  prod: {{type: local, apps: [aa], nope: 1}}
  far: {{type: remote, apps: [aa]}}
"""
    assert problems(write(tmp_path, text)) == [
        "e/bootstrap.yaml:7: processes.x.env.A-B: cannot use this value: "
        "'A-B' is not the name of an environment variable",
        "e/bootstrap.yaml:8: processes.x.user: 'a b' is not the name of a user",
        "e/bootstrap.yaml:9: processes.1: Every process must have a name",
        "omnitron.config.yaml:1: project: cannot use this value: must be text",
        "omnitron.config.yaml:5: apps.a.env.A_B: cannot use this value: must be text, not bool; put it in quotes",
        "omnitron.config.yaml:6: apps.a.dependsOn.0: cannot depend on 'zz': there is no such app",
        "omnitron.config.yaml:8: apps.b.comand: cannot use this key: it is unknown (did you mean 'command'?)",
        "omnitron.config.yaml:9: apps.2.name: cannot do without this key: it is missing",
        "omnitron.config.yaml:13: apps.d.transports.http.port: cannot do without this key: it is missing",
        "omnitron.config.yaml:15: apps.d.dependsOn: cannot order the apps: d → e → d is a loop",
        "omnitron.config.yaml:20: apps.f.cwd: cannot use this value: must be text, not int; put it in quotes",
        "omnitron.config.yaml:22: apps.6: cannot be text: it must be a mapping",
        "omnitron.config.yaml:23: apps.a.name: cannot use the name 'a': it is there twice",
        "omnitron.config.yaml:26: stacks.dev.type: cannot do without this key: it is missing",
        "omnitron.config.yaml:27: stacks.prod.nope: cannot use this key: it is unknown (did you mean 'nodes'?)",
        "omnitron.config.yaml:28: stacks.far: cannot be remote: a remote stack has exactly one node",
        "omnitron.config.yaml:28: stacks.far.apps.0: cannot run 'aa': there is no such app (did you mean 'a'?)",
    ]


@pytest.mark.parametrize(
    "stacks", [5, {"dev": {"type": "local", "apps": "none"}}, {"dev": {"type": "local", "apps": ["a"], "x": 1}}]
)
def test_a_wrong_stack_makes_no_ports_collide(tmp_path: Path, stacks: Any) -> None:
    path = write(tmp_path, shop({"name": "a", **PORT}, {"name": "b", **PORT}, stacks=stacks))
    assert len(problems(path)) == 1


@pytest.mark.parametrize("suffix", [".yaml", ".toml", ".json"])
def test_what_is_not_a_definition_at_all(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path, {".yaml": "", ".toml": "", ".json": "[]"}[suffix], suffix)
    missing = "omnitron.config.toml:1: {}: cannot do without this key: it is missing"
    assert {
        ".yaml": ["omnitron.config.yaml: cannot be nothing: it must be a mapping"],
        ".toml": [missing.format("apps"), missing.format("project")],
        ".json": ["omnitron.config.json:1: cannot be a list: it must be a mapping"],
    }[suffix] == problems(path)
