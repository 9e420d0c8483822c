"""Compose files, field by field."""

import os
import pwd

import pytest
import yaml

from omnitron.errors import DefinitionError
from omnitron.importers import emit, import_file
from omnitron.importers.compose import unsupported
from omnitron.importers.compose.dockerfile import Image
from omnitron.importers.compose.dockerfile import read as read_dockerfile
from omnitron.importers.host_files import Surroundings

LEFT_BEHIND = sorted({*unsupported.LEFT, "nobody_knows_it"} - {"deploy"})
NAMES_OF_LISTS = {"environment.0": "NOT_SET"}
NO_RESTART = {"restartPolicy": {"enabled": False}}


@pytest.fixture
def compose(tmp_path):
    def run(data, **environ):
        path = tmp_path / "compose.yaml"
        path.write_text(data if isinstance(data, str) else yaml.safe_dump(data))
        return import_file("compose", path, Surroundings(tmp_path, tmp_path, environ))

    return run


@pytest.fixture
def app(compose):
    """The text of the definition that one service becomes, and what is warned of."""

    def run(**service):
        imported = compose({"services": {"a": {"command": "run", **service}}})
        text = emit.document(imported.definition)
        return text, [warning.path.partition(".a.")[2] for warning in imported.warnings]

    return run


@pytest.mark.parametrize(
    ("service", "wanted"),
    [
        ({"command": ["a b", "$$c"]}, {"command": ["a b", "$c"]}),
        ({"command": "a 'b c' d\\ e && f"}, {"command": ["a", "b c", "d e", "&&", "f"]}),
        ({"entrypoint": "a b", "command": "c"}, {"command": ["a", "b", "c"]}),
        ({"entrypoint": ["sh", "-c"], "command": ["x $$Y"]}, {"command": ["sh", "-c", "exec x $Y"]}),
        (
            {"environment": {"A": 1, "B": True, "C": 1.5, "D": "x"}},
            {"env": {"A": "1", "B": "true", "C": "1.5", "D": "x"}},
        ),
        ({"environment": ["A=b=c", "B="]}, {"env": {"A": "b=c", "B": ""}}),
        ({"restart": "always"}, {"restartPolicy": {"restart": "always", "maxRestarts": 1_000_000}}),
        ({"restart": "unless-stopped"}, {"restartPolicy": {"restart": "always", "maxRestarts": 1_000_000}}),
        ({"restart": "on-failure"}, {"restartPolicy": {"restart": "on-failure", "maxRestarts": 1_000_000}}),
        ({"restart": "no"}, NO_RESTART),
        ({"restart": False}, None),
        ({"scale": 3}, {"instances": 3}),
        ({"scale": 1}, {}),
        ({"scale": 0}, {"enabled": False}),
        ({"deploy": {"replicas": "2"}}, {"instances": 2}),
        ({"mem_limit": "512m"}, {"limits": {"memoryMax": "512m"}}),
        ({"mem_limit": 1048576}, {"limits": {"memoryMax": 1048576}}),
        ({"mem_limit": 0}, {}),
        ({"cpus": "1.5"}, {"limits": {"cpuQuota": "150%"}}),
        ({"cpus": 0.001}, {"limits": {"cpuQuota": "1%"}}),
        ({"cpu_quota": 50000}, {"limits": {"cpuQuota": "50%"}}),
        ({"cpu_quota": 50000, "cpu_period": 25000}, {"limits": {"cpuQuota": "200%"}}),
        ({"cpu_shares": 512}, {"limits": {"cpuWeight": 50}}),
        ({"pids_limit": 10}, {"limits": {"tasksMax": 10}}),
        ({"pids_limit": 1}, {"limits": {"tasksMax": 2}}),
        ({"pids_limit": -1}, {}),
        ({"user": "app"}, {"user": "app"}),
        ({"user": "app:staff"}, {"user": "app", "group": "staff"}),
        ({"user": f"{os.getuid()}"}, {"user": pwd.getpwuid(os.getuid()).pw_name}),
        ({"user": "4000000001"}, {"user": "4000000001"}),
        ({"stop_grace_period": "1m30s"}, {"shutdown": {"timeout": "90s"}}),
        ({"stop_grace_period": "1.5s"}, {"shutdown": {"timeout": "1500ms"}}),
        ({"stop_signal": "USR1"}, {"systemd": {"service": {"KillSignal": "SIGUSR1"}}}),
        ({"stop_signal": "SIGTERM"}, {}),
        ({"healthcheck": {"test": ["NONE"]}}, {"health": {"enabled": False}}),
        ({"healthcheck": {"disable": True}}, {"health": {"enabled": False}}),
        (
            {"healthcheck": {"test": "a | b", "retries": 2, "interval": "5s"}},
            {
                "health": {
                    "probe": {"type": "command", "command": "a | b"},
                    "interval": "5s",
                    "timeout": "30s",
                    "retries": 2,
                },
                "startupTimeout": "10s",
            },
        ),
        ({"x-mine": 1}, {}),
        ({"init": True, "cap_drop": ["ALL"], "read_only": True}, {}),
    ],
)
def test_what_is_carried_over(compose, service, wanted):
    data = {"services": {"a": {"command": "run", **service}}}
    if wanted is None:
        with pytest.raises(DefinitionError):
            compose(data)
        return
    imported = compose(data)
    assert imported.definition["apps"] == [{"name": "a", "command": ["run"], **NO_RESTART, **wanted}]
    assert not imported.warnings


@pytest.mark.parametrize(
    "key",
    LEFT_BEHIND,
)
def test_what_is_left_behind_is_a_comment_and_a_warning(app, key):
    text, warned = app(**{key: "some-value"})
    assert warned == [key]
    assert f"\n    # {key}: some-value\n    #   cannot be carried over: " in text


@pytest.mark.parametrize(
    ("service", "warned"),
    [
        ({"scale": 1001}, "scale"),
        ({"user": "a b"}, "user"),
        ({"working_dir": "/app"}, "working_dir"),
        ({"restart": "on-failure:2"}, "restart"),
        ({"profiles": ["x"]}, "profiles"),
        ({"env_file": "nope.env"}, "env_file"),
        ({"environment": {"a-b": "x"}}, "environment.a-b"),
        ({"environment": ["NOT_SET"]}, "environment.0"),
        ({"environment": {"A": "\x07"}}, "environment.A"),
        ({"healthcheck": {"test": "x", "start_interval": "1s"}}, "healthcheck.start_interval"),
        ({"healthcheck": {"test": ["CMD", "-x"]}}, "healthcheck"),
        ({"healthcheck": {"test": "x", "retries": 9999}}, "healthcheck.retries"),
        ({"deploy": {"placement": {}}}, "deploy.placement"),
        ({"deploy": {"resources": {"limits": {"devices": 1}}}}, "deploy.resources.limits.devices"),
        ({"deploy": {"restart_policy": {"window": "5s"}}}, "deploy.restart_policy.window"),
        ({"deploy": {"restart_policy": {"condition": "any"}}, "restart": "no"}, "restart"),
    ],
)
def test_what_is_left_behind_of_a_field(app, service, warned):
    text, found = app(**service)
    assert found == [warned]
    comments = [line for line in text.splitlines() if line.lstrip().startswith("#")]
    assert any(
        f"# {label}" in comment
        for label in (warned, *warned.split(".")[1:], NAMES_OF_LISTS.get(warned))
        for comment in comments
    )


@pytest.mark.parametrize(
    ("service", "path"),
    [
        ({"command": 5.5, "restart": []}, "restart"),
        ({"command": {"a": 1}}, "command"),
        ({"command": "a 'b"}, "command"),
        ({"environment": "A=1"}, "environment"),
        ({"environment": {"A": {}}}, "environment.A"),
        ({"env_file": {"a": 1}}, "env_file"),
        ({"depends_on": ["nobody"]}, "depends_on.0"),
        ({"depends_on": ["a"]}, "depends_on"),
        ({"depends_on": {"a": {"condition": "never"}}}, "depends_on.a.condition"),
        ({"healthcheck": {"test": ["x"]}}, "healthcheck.test"),
        ({"healthcheck": {"test": "x", "interval": "soon"}}, "healthcheck.interval"),
        ({"healthcheck": []}, "healthcheck"),
        ({"restart": "sometimes"}, "restart"),
        ({"scale": -1}, "scale"),
        ({"scale": 1.5}, "scale"),
        ({"mem_limit": "much"}, "mem_limit"),
        ({"cpus": "many"}, "cpus"),
        ({"stop_signal": "SIGNOPE"}, "stop_signal"),
        ({"stop_grace_period": "99999999h"}, "stop_grace_period"),
        ({"user": ["root"]}, "user"),
        ({"deploy": "x"}, "deploy"),
        ({"build": 5}, "build"),
        ({"working_dir": "a\0b"}, "working_dir"),
        ({"environment": {"A": "${B"}}, "environment.A"),
        ({"environment": {"A": "${B:?say it}"}}, "environment.A"),
    ],
)
def test_what_compose_itself_would_refuse(compose, service, path):
    with pytest.raises(DefinitionError) as caught:
        compose({"services": {"a": {"command": "run", **service}}})
    assert f"services.a.{path}" in [problem.path for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not a mapping"),
        ("[]", "not a mapping"),
        ("services:", "no services"),
        ("services: {}", "no services"),
        ("services: []", "cannot be a list"),
        ("services: {a: }", "cannot be nothing"),
        ("services: {a: {}}", "neither|no image, no build and no command"),
        ("web: {image: x}", "no services"),
        ("name: []\nservices: {a: {image: x}}", "cannot be a list"),
    ],
)
def test_files_that_are_none(compose, text, why):
    with pytest.raises(DefinitionError, match=why):
        compose(text)


def test_every_problem_is_told_at_once(compose):
    with pytest.raises(DefinitionError) as caught:
        compose("services:\n  a: {command: x, scale: no}\n  b: {image: [], restart: x}\n  c: 5\n")
    assert [(problem.line, problem.path) for problem in caught.value.problems] == [
        (2, "services.a.scale"),
        (3, "services.b.image"),
        (4, "services.c"),
    ]


def test_scalars_are_those_of_yaml_1_2(compose):
    text = "services: {a: {command: x, environment: {A: yes, B: 22:22, C: 0o17, D: 2024-01-01, E: 1_0, F: ~, G: .5}}}"
    env = compose(text, F="f").definition["apps"][0]["env"]
    assert env == {"A": "yes", "B": "22:22", "C": "15", "D": "2024-01-01", "E": "1_0", "F": "f", "G": "0.5"}


def test_of_several_merged_mappings_the_first_wins(compose):
    text = "x: &x {scale: 2}\ny: &y {scale: 3, user: u}\nservices: {a: {<<: [*x, *y], command: x}}"
    app = compose(text).definition["apps"][0]
    assert (app["instances"], app["user"]) == (2, "u")


def test_variables_of_the_shell_win_over_those_of_the_file(compose, tmp_path):
    (tmp_path / ".env").write_text("A=file\nB=file\n")
    imported = compose("services: {a: {command: '$A ${B} $C'}}", A="shell")
    assert imported.definition["apps"][0]["command"] == ["shell", "file"]
    assert [str(warning).partition(": ")[2] for warning in imported.warnings] == [
        "services.a.command: the variable C is not set: it is replaced by an empty text"
    ]
    comment = "services.a.command: the variable C is not set: it is replaced by an empty text"
    assert ("project", comment) in imported.definition.comments


def test_a_password_is_not_in_a_warning(compose):
    imported = compose("services: {a: {command: x, secrets: ['hunter2'], environment: {a-b: hunter2}}}")
    assert len(imported.warnings) == 2
    assert "hunter2" not in "".join(map(str, imported.warnings))


def test_variables_of_files_come_before_the_service_s_own(compose, tmp_path):
    (tmp_path / "a.env").write_text("A=1\nB=${X}2\n")
    (tmp_path / "b.env").write_text("B='$3'\nC=4\n")
    files = ["a.env", {"path": "b.env", "format": "raw"}]
    imported = compose({"services": {"a": {"command": "x", "env_file": files, "environment": {"C": "5"}}}}, X="x")
    assert imported.definition["apps"][0]["env"] == {"A": "1", "B": "'$3'", "C": "5"}


@pytest.mark.parametrize(
    ("image", "command", "key"),
    [
        ("postgres:16", None, "containers"),
        ("docker.io/library/redis@sha256:00", "redis-server --save 60 1", "containers"),
        ("acme/tool", None, "containers"),
        ("acme/tool", "--flag", "containers"),
        ("python:3.12", "python x.py", "apps"),
    ],
)
def test_apps_and_containers(compose, image, command, key):
    definition = compose({"services": {"a": {"image": image, "command": command}}}).definition
    found = {"apps": [app["name"] for app in definition["apps"]], "containers": []}
    found["containers"] = list(definition.get("infrastructure", {}).get("containers", {}))
    assert found[key] == ["a"]
    assert sum(map(len, found.values())) == 1


def test_dependencies(compose):
    services = {
        "a": {"command": "a", "depends_on": ["b", "db", "b"]},
        "b": {"command": "b", "depends_on": {"c": {"condition": "service_healthy"}}},
        "c": {"command": "c", "depends_on": {"gone": {"condition": "service_started", "required": False}}},
        "db": {"image": "postgres", "depends_on": ["cache", "c"]},
        "cache": {"image": "redis"},
    }
    imported = compose({"services": services})
    assert [app.get("dependsOn") for app in imported.definition["apps"]] == [["b"], ["c"], None]
    assert imported.definition["infrastructure"]["containers"]["db"]["dependsOn"] == ["cache"]
    assert [warning.path for warning in imported.warnings] == ["services.a.depends_on.1", "services.db.depends_on.1"]


def test_a_loop_is_named(compose):
    services = {name: {"command": "x", "depends_on": [other]} for name, other in ("ab", "bc", "ca")}
    with pytest.raises(DefinitionError, match="cannot order: a → b → c → a is a loop"):
        compose({"services": services})


def test_the_folder(compose, tmp_path):
    (tmp_path / "web").mkdir()
    volumes = ["./web:/srv/web", "data:/srv"]
    services = {
        "mounted": {"command": "x", "working_dir": "/srv/web", "volumes": volumes},
        "built": {"command": "x", "build": "./web"},
        "neither": {"command": "x", "build": "./gone"},
    }
    apps = compose({"services": services}).definition["apps"]
    assert [app.get("cwd") for app in apps] == ["web", "web", None]


def test_a_definition_elsewhere_names_the_folder(tmp_path):
    (tmp_path / "deploy").mkdir()
    path = tmp_path / "deploy" / "compose.yaml"
    path.write_text("services: {a: {command: x}}")

    def cwd(home):
        return import_file("compose", path, Surroundings(path.parent, home)).definition["apps"][0].get("cwd")

    assert cwd(path.parent) is None
    assert cwd(tmp_path) == "deploy"
    assert cwd(tmp_path / "other") == str(path.parent)


def test_the_project_s_name(compose, tmp_path):
    def name(text, project=None):
        (tmp_path / "compose.yaml").write_text(text + "\nservices: {a: {command: x}}")
        around = Surroundings(tmp_path, tmp_path)
        return import_file("compose", tmp_path / "compose.yaml", around, project).definition["project"]

    assert name("name: shop") == "shop"
    assert name("name: my shop!") == "my-shop"
    assert name("name: shop", "mine") == "mine"
    assert name("") == tmp_path.name[:40].strip("-.")


@pytest.mark.parametrize(
    ("text", "target", "wanted"),
    [
        ("FROM a\nCMD b c", None, Image(None, ["/bin/sh", "-c", "b c"])),
        ('FROM a\nENTRYPOINT ["b"]\nCMD ["c", \\\n# no\n  "d"]', None, Image(["b"], ["c", "d"])),
        ("FROM a\nCMD x\nENTRYPOINT [\"y\"]", None, Image(["y"], None)),
        ("FROM a AS one\nCMD x\nFROM one\nWORKDIR /a\nWORKDIR b", None, Image(None, ["/bin/sh", "-c", "x"], "/a/b")),
        ("FROM a AS one\nCMD [\"x\"]\nFROM b as Two\nCMD [\"y\"]", "one", Image(None, ["x"])),
        ("FROM a\nRUN <<EOF\nCMD [\"no\"]\nEOF\nCMD [\"yes\"]", None, Image(None, ["yes"])),
        ("FROM a\nCMD []", None, Image(None, [])),
        ("FROM a", "nope", Image()),
        ("", None, Image()),
        ("garbage \\", None, Image()),
    ],
)  # fmt: skip
def test_what_an_image_runs(text, target, wanted):
    assert read_dockerfile(text, target) == wanted


def test_the_program_of_a_dockerfile(compose, tmp_path):
    (tmp_path / "Dockerfile").write_text('FROM x\nENTRYPOINT ["node"]\nCMD ["server.js"]')
    services = {
        "both": {"build": "."},
        "own": {"build": ".", "command": "other.js"},
        "reset": {"build": ".", "entrypoint": ["deno", "run"]},
        "gone": {"build": "./gone"},
    }
    imported = compose({"services": services})
    assert [app["command"] for app in imported.definition["apps"]] == [
        ["node", "server.js"],
        ["node", "other.js"],
        ["deno", "run"],
    ]
    assert any(text.startswith("services.gone: {build: ./gone}\n") for _, text in imported.definition.comments)
