"""pm2's ecosystem files, field by field."""

import json
import os
import pwd

import pytest

from omnitron.errors import DefinitionError
from omnitron.importers import import_file
from omnitron.importers.host_files import Surroundings
from omnitron.importers.pm2 import unsupported

EVERY = {
    "restartPolicy": {"restart": "always"},
    "systemd": {"service": {"KillSignal": "SIGINT", "KillMode": "control-group"}},
}


@pytest.fixture
def pm2(tmp_path):
    def run(data):
        path = tmp_path / "ecosystem.json"
        path.write_text(data if isinstance(data, str) else json.dumps(data))
        return import_file("pm2", path, Surroundings(tmp_path, tmp_path, {}, cpus=4))

    return run


def kill(**directives):
    return {"systemd": {"service": {"KillSignal": "SIGINT", "KillMode": "control-group", **directives}}}


@pytest.mark.parametrize(
    ("app", "wanted"),
    [
        ({"args": "a 'b c' --d=\"e f\""}, {"command": ["node", "x.js", "a", "b c", '--d="e f"']}),
        ({"args": ["a b", 1]}, {"command": ["node", "x.js", "a b", "1"]}),
        ({"node_args": "--inspect -r y"}, {"command": ["node", "--inspect", "-r", "y", "x.js"]}),
        ({"interpreterArgs": ["-r"]}, {"command": ["node", "-r", "x.js"]}),
        ({"interpreter": "deno"}, {"command": ["deno", "x.js"]}),
        ({"interpreter": "none"}, {"command": ["x.js"]}),
        ({"script": "x.py"}, {"command": ["python3", "x.py"], "env": {"PYTHONUNBUFFERED": "1"}}),
        ({"script": "x.sh"}, {"command": ["bash", "x.sh"]}),
        ({"script": "serve"}, {"command": ["serve"]}),
        ({"script": "npm run x"}, {"command": ["npm", "run", "x"]}),
        ({"script": "a $B"}, {"command": ["/bin/bash", "-c", "exec a $B"]}),
        ({"env": {"A": 1, "B": True, "C": [1, {"d": 2}]}}, {"env": {"A": "1", "B": "true", "C": '[1,{"d":2}]'}}),
        ({"port": 80, "env": {"PORT": 1}}, {"env": {"PORT": "80"}}),
        ({"instances": 1, "exec_mode": "cluster"}, {}),
        ({"restart_delay": 1500}, {"restartPolicy": {"restart": "always", "delay": "1500ms"}}),
        ({"restart_delay": 0}, {}),
        (
            {"exp_backoff_restart_delay": 100},
            {
                "restartPolicy": {
                    "restart": "always",
                    "backoff": {"type": "exponential", "initial": "100ms", "max": "15s", "factor": 1.5},
                }
            },
        ),
        ({"autorestart": False}, {"restartPolicy": {"enabled": False}}),
        ({"stop_exit_codes": [0]}, {"restartPolicy": {"restart": "on-failure"}}),
        ({"stop_exit_codes": 3}, kill(RestartPreventExitStatus="3", SuccessExitStatus="3")),
        ({"kill_timeout": 3000}, {"shutdown": {"timeout": "3s"}}),
        ({"treekill": False}, {"systemd": {"service": {"KillSignal": "SIGINT"}}}),
        ({"autostart": False}, {"enabled": False}),
        ({"user": "app", "gid": "staff"}, {"user": "app", "group": "staff"}),
        ({"uid": os.getuid()}, {"user": pwd.getpwuid(os.getuid()).pw_name}),
        ({"watch": True, "ignore_watch": "x"}, {"watch": {"directory": ".", "ignore": ["x"]}}),
        ({"watch": "src"}, {"watch": {"directory": "src"}}),
        ({"watch": False, "ignore_watch": ["x"]}, {}),
        ({"vizion": False, "merge_logs": True, "force": True}, {}),
        ({"script": None, "exec": "y.js"}, {"command": ["node", "y.js"]}),
    ],
)
def test_what_is_carried_over(pm2, app, wanted):
    imported = pm2({"apps": [{"name": "a", "script": "x.js", **app}]})
    assert imported.definition["apps"] == [{"name": "a", "command": ["node", "x.js"], **EVERY, **wanted}]
    assert not imported.warnings


@pytest.mark.parametrize(
    "key",
    [*unsupported.LEFT, "env_production", "nobody_knows_it"],
)
def test_what_is_left_behind_is_a_comment_and_a_warning(pm2, key):
    imported = pm2({"apps": [{"name": "a", "script": "x.js", key: "some-value"}]})
    assert [warning.path for warning in imported.warnings] == [f"apps.a.{key}"]
    comments = imported.definition["apps"][0].comments
    assert any(text.startswith(f"{key}: some-value\n  cannot be carried over: ") for _, text in comments)


@pytest.mark.parametrize(
    ("said", "instances", "warnings"),
    [("max", 4, 3), (0, 4, 3), (-1, 3, 3), (-9, None, 1), (2, 2, 2), ("2", 2, 2), (1, None, 0), (2000, None, 1)],
)
def test_instances(pm2, said, instances, warnings):
    imported = pm2({"apps": [{"name": "a", "script": "x.js", "instances": said}]})
    assert imported.definition["apps"][0].get("instances") == instances
    assert len(imported.warnings) == warnings


@pytest.mark.parametrize(
    ("app", "policy"),
    [
        ({"max_restarts": 10, "restart_delay": 1000}, {"delay": "1s", "maxRestarts": 10, "window": "22s"}),
        ({"min_uptime": "5s"}, {"maxRestarts": 16, "window": "595s"}),
        ({"max_restarts": 0, "min_uptime": 100}, {"maxRestarts": 0, "window": "30100ms"}),
    ],
)
def test_the_budget_holds_as_many_restarts_as_pm2_counts(pm2, app, policy):
    imported = pm2({"apps": [{"name": "a", "script": "x.js", **app}]})
    assert imported.definition["apps"][0]["restartPolicy"] == {"restart": "always", **policy}
    assert len(imported.warnings) == 1


def test_memory(pm2):
    imported = pm2({"apps": [{"name": "a", "script": "x.js", "max_memory_restart": "300M"}]})
    assert imported.definition["apps"][0]["limits"] == {"memoryMax": "300M"}
    assert [warning.path for warning in imported.warnings] == ["apps.a.max_memory_restart"]


@pytest.mark.parametrize(
    ("app", "path"),
    [
        ({"script": 5.5, "args": {"a": 1}}, "args"),
        ({"script": ""}, ""),
        ({"script": "x 'y"}, "script"),
        ({"interpreter": "-x"}, "exec_interpreter"),
        ({"name": []}, "name"),
        ({"cwd": 1, "env": []}, "env"),
        ({"instances": "many"}, "instances"),
        ({"instances": 1.5}, "instances"),
        ({"max_memory_restart": "much"}, "max_memory_restart"),
        ({"min_uptime": "soon"}, "min_uptime"),
        ({"kill_timeout": -1}, "kill_timeout"),
        ({"kill_timeout": 1e300}, "kill_timeout"),
        ({"autorestart": "maybe"}, "autorestart"),
        ({"watch": {"a": 1}}, "watch"),
        ({"exec_mode": ["fork"]}, "exec_mode"),
        ({"uid": []}, "uid"),
    ],
)
def test_wrong_types(pm2, app, path):
    with pytest.raises(DefinitionError) as caught:
        pm2({"apps": [{"name": "a", "script": "x.js", **app}]})
    paths = [problem.path.removeprefix("apps.").partition(".")[2] for problem in caught.value.problems]
    assert path in paths


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("", "cannot parse"),
        ("null", "neither a mapping"),
        ("5", "neither a mapping"),
        ("[]", "no apps"),
        ("{}", "no apps"),
        ('{"apps": []}', "no apps"),
        ('{"apps": 5}', "cannot be a number"),
        ('{"apps": [null]}', "cannot be nothing"),
        ('{"apps": [{"name": "a"}]}', "no script"),
        ('{"apps": [{"script": "a"}],}', "put `module.exports =` in front"),
        ('{"apps": ' + "9" * 5000 + "}", "cannot parse"),
        ("[" * 5000, "nested too deeply"),
    ],
)
def test_files_that_are_none(pm2, data, why):
    with pytest.raises(DefinitionError, match=why):
        pm2(data)


@pytest.mark.parametrize(
    "form", [lambda app: [app], lambda app: {"apps": app}, lambda app: {"pm2": [app]}, lambda app: app]
)
def test_the_forms_of_a_file(pm2, form):
    assert [app["name"] for app in pm2(form({"script": "dir/server.js"})).definition["apps"]] == ["server"]


def test_a_script_that_is_here(pm2, tmp_path):
    (tmp_path / "text").write_text("#!/usr/bin/env node")
    (tmp_path / "program").write_bytes(b"\x7fELF\0")
    apps = [{"name": "a", "script": "text"}, {"name": "b", "script": "program"}, {"name": "c", "script": "./program"}]
    commands = [app["command"] for app in pm2({"apps": apps}).definition["apps"]]
    assert commands == [["node", "text"], ["./program"], ["./program"]]


def test_other_keys_of_the_file(pm2):
    imported = pm2({"apps": [{"script": "a"}], "deploy": {"production": {"user": "x"}}, "other": 1})
    assert [warning.path for warning in imported.warnings] == ["deploy", "other"]
    assert (
        sum(above == "apps" and "cannot be carried over" in text for above, text in imported.definition.comments) == 2
    )
