"""Whatever a file holds: an import fails with a DefinitionError, or its result loads as a definition."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omnitron.definition import loader
from omnitron.errors import DefinitionError
from omnitron.importers import emit, import_file
from omnitron.importers.host_files import Surroundings

NAMES = st.sampled_from(["web", "db", "worker", "-x-", "gateway", "a b", "a-b", "a_b", "ä", "x" * 60, "", "."])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(-3, 3),
    st.floats(),
    st.text(max_size=20),
    NAMES,
    st.sampled_from([
        "always", "on-failure:3", "no", "30s", "1m30s", "512m", "0", "-1", "max", "node server.js", "a | b", "'", "$X",
        "${X:-y}", "${", "CMD", "CMD-SHELL", "NONE", ".", "./app", "/", "~root", "~nobody-at-all/x", "\x00", "\x1b[1m",
        "33:33", "root", "SIGINT", "9", "postgres:16", "python:3", "--flag", "a=b", "A=b\nc", "8080:80",
        "service_healthy", "\ud800", "\u2028", "1e400", "0x10", "5s", "0:0", "postgres://db:5432/x",
    ]),
)  # fmt: skip
COMPOSE_KEYS = [
    "command",
    "entrypoint",
    "environment",
    "env_file",
    "depends_on",
    "healthcheck",
    "restart",
    "deploy",
    "scale",
    "mem_limit",
    "cpus",
    "pids_limit",
    "cpu_shares",
    "user",
    "working_dir",
    "stop_grace_period",
    "stop_signal",
    "ports",
    "volumes",
    "networks",
    "image",
    "build",
    "secrets",
    "profiles",
    "extends",
    "labels",
    "logging",
    "cpu_quota",
    "cpu_period",
    "x-own",
    "unknown",
    "init",
    "read_only",
    "cap_drop",
    "shm_size",
    "mem_reservation",
    "test",
    "interval",
    "timeout",
    "retries",
    "disable",
    "start_period",
    "replicas",
    "resources",
    "limits",
    "reservations",
    "memory",
    "pids",
    "restart_policy",
    "condition",
    "delay",
    "max_attempts",
    "context",
    "dockerfile",
    "target",
    "path",
    "required",
    "format",
    "type",
    "source",
    "read_only",
    "published",
    "host_ip",
    "protocol",
    "web",
    "db",
]
PM2_KEYS = [
    "script",
    "name",
    "args",
    "interpreter",
    "node_args",
    "cwd",
    "instances",
    "exec_mode",
    "env",
    "env_production",
    "watch",
    "ignore_watch",
    "watch_delay",
    "port",
    "max_memory_restart",
    "restart_delay",
    "exp_backoff_restart_delay",
    "max_restarts",
    "min_uptime",
    "autorestart",
    "stop_exit_codes",
    "kill_timeout",
    "listen_timeout",
    "wait_ready",
    "out_file",
    "error_file",
    "uid",
    "gid",
    "user",
    "cron_restart",
    "namespace",
    "autostart",
    "treekill",
    "exec",
    "merge_logs",
    "unknown",
    "instance_var",
]


def values(keys):
    names = st.sampled_from(keys) | NAMES | st.text(max_size=5)
    return st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
        max_leaves=8,
    )


def mappings(keys):
    return st.dictionaries(st.sampled_from(keys), values(keys), max_size=10)


TEXTS = st.text(alphabet="ab$\\'\" \n;&|#-{}[]:,%@é", max_size=12).map(lambda text: text.replace("$", "$$"))
SPANS = st.sampled_from(["0s", "1s", "1m30s", "500ms", "2h"])
SIZES = st.sampled_from(["0", "1", "64k", "512M", "1.5g", 1048576])
COUNTS = st.sampled_from([0, 1, 2, "3", 1000, 1001])
FLAGS = st.sampled_from([True, False, "true", "false"])
LINES = st.sampled_from(["./run", ["node", "x.js"], "sh -c 'a | b'", ["--flag"], "", [], ["x", ""]]) | st.lists(TEXTS)
VARIABLES = st.dictionaries(st.sampled_from(["A", "B_1", "HOST", "1x", "a-b"]), TEXTS | COUNTS | FLAGS | st.none())
OTHERS = st.lists(st.sampled_from(["web", "db", "worker"]), max_size=2)
CONDITIONS = st.sampled_from(["service_started", "service_healthy", "service_completed_successfully"])
LIMITS = st.fixed_dictionaries({}, optional={"cpus": st.sampled_from(["0.5", 2, 0]), "memory": SIZES, "pids": COUNTS})
CHECKS = st.fixed_dictionaries(
    {"test": LINES | st.sampled_from([["NONE"], ["CMD", "x"], ["CMD", "-x"], ["CMD-SHELL", "x | y"]])},
    optional={"interval": SPANS, "timeout": SPANS, "retries": COUNTS, "start_period": SPANS, "disable": FLAGS},
)
SERVICE_FIELDS = {
    "command": LINES,
    "entrypoint": LINES,
    "image": st.sampled_from(["postgres:16", "acme/tool", "library/redis@sha256:0"]),
    "build": st.sampled_from([".", "./app", {"context": "app", "dockerfile_inline": "FROM x\nCMD run"}]),
    "environment": VARIABLES | st.lists(st.sampled_from(["A=1", "B", "=x", "C=", "URL=http://db:1/"])),
    "env_file": st.sampled_from([".env", ["app.env"], [{"path": "nope", "required": False}]]),
    "depends_on": OTHERS
    | st.dictionaries(st.sampled_from(["web", "db"]), st.fixed_dictionaries({"condition": CONDITIONS})),
    "healthcheck": CHECKS,
    "restart": st.sampled_from(["no", "always", "on-failure", "on-failure:3", "on-failure:99999999", "unless-stopped"]),
    "deploy": st.fixed_dictionaries(
        {}, optional={"replicas": COUNTS, "resources": st.fixed_dictionaries({"limits": LIMITS})}
    ),
    "scale": COUNTS,
    "mem_limit": SIZES,
    "cpus": st.sampled_from([0.001, "1.5", 100000]),
    "cpu_shares": st.sampled_from([1, 1024, 10**9]),
    "pids_limit": st.sampled_from([-1, 0, 5]),
    "user": st.sampled_from(["33", "33:33", "app", "app:", ":app", "0", "99999999", "a b", ":"]),
    "working_dir": st.sampled_from(["/app", "/app/x", "relative"]),
    "volumes": st.just([".:/app", "data:/data", {"type": "bind", "source": "./app", "target": "/app/x"}]),
    "stop_grace_period": SPANS,
    "stop_signal": st.sampled_from(["SIGINT", "usr1", "9", "SIGRTMIN+3"]),
    "ports": st.just(["8080:80", 1, {"target": 80, "published": "8080", "protocol": "tcp", "mode": "host"}]),
    "profiles": st.just(["x"]),
    "x-own": TEXTS,
    "unknown": values(COMPOSE_KEYS),
}
APP_FIELDS = {
    "name": NAMES,
    "script": st.sampled_from(["server.js", "npm start", "./tool", "x.py", "a && b", "a 'b"]),
    "args": LINES,
    "interpreter": st.sampled_from(["none", "node@18", "python3", "/usr/bin/env"]),
    "node_args": LINES,
    "cwd": st.sampled_from([".", "app", "nope", "/", "~root"]),
    "instances": st.sampled_from(["max", 0, -1, -100, 1, 3, "2", 5000]),
    "exec_mode": st.sampled_from(["fork", "cluster", "cluster_mode"]),
    "env": VARIABLES,
    "env_production": VARIABLES,
    "port": COUNTS,
    "watch": st.sampled_from([True, False, "src", ["a", "b"]]),
    "ignore_watch": st.just(["x"]),
    "watch_delay": COUNTS,
    "max_memory_restart": st.sampled_from(["300M", "0", 1000, "1G"]),
    "restart_delay": COUNTS,
    "exp_backoff_restart_delay": st.sampled_from([0, 100, 99999999]),
    "max_restarts": st.sampled_from([0, 5, 10**9]),
    "min_uptime": st.sampled_from([0, "5s", "1h", "99999h"]),
    "autorestart": FLAGS,
    "autostart": FLAGS,
    "stop_exit_codes": st.sampled_from([0, [0], [1, 2], ["0", "3"], [999], [-1]]),
    "kill_timeout": COUNTS,
    "treekill": FLAGS,
    "uid": st.sampled_from([33, "www-data", "a b", 0]),
    "gid": st.sampled_from([33, "www-data", "-"]),
    "unknown": values(PM2_KEYS),
}


def plausible(fields, needed, junk):
    """Mappings with values of the right sort, now and then with one that is not."""
    good = st.fixed_dictionaries({needed[0]: needed[1]}, optional={k: v for k, v in fields.items() if k != needed[0]})
    return st.one_of(good, good, good, st.tuples(good, junk).map(lambda pair: {**pair[0], **pair[1]}))


SERVICES = plausible(SERVICE_FIELDS, ("command", LINES), mappings(COMPOSE_KEYS))
APPS = plausible(APP_FIELDS, ("script", APP_FIELDS["script"]), mappings(PM2_KEYS))
COMPOSE = st.fixed_dictionaries({
    "services": st.fixed_dictionaries({"web": SERVICES, "db": SERVICES}, optional={"worker": SERVICES, "a b": SERVICES})
}) | values(COMPOSE_KEYS)  # fmt: skip
PM2 = st.fixed_dictionaries({"apps": st.lists(APPS, min_size=1, max_size=3)}) | values(PM2_KEYS)
PROCFILES = st.lists(
    st.tuples(NAMES | st.text(max_size=5), st.sampled_from([":", ": ", " : "]), st.text(max_size=30)).map("".join)
).map("\n".join)

many = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def check(tool: str, path: Path) -> None:
    around = Surroundings(path.parent, path.parent, {"X": "y", "PORT": "1"}, cpus=4)
    try:
        imported = import_file(tool, path, around)
    except DefinitionError as error:
        assert error.lines()
        return
    text = emit.document(imported.definition)
    target = path.parent / "omnitron.config.yaml"
    target.write_text(text)
    loader.load(target)
    # Both quote in ways that reading undoes, and nothing was lost on the way.
    assert yaml.safe_load(text) == imported.definition == json.loads(json.dumps(imported.definition))
    for warning in imported.warnings:
        assert warning.message.removeprefix("cannot be carried over: ") in text


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "app").mkdir()
    (tmp_path / ".env").write_text("A=1\n")
    (tmp_path / "app.env").write_text("export B='x y'\nC=$A\n1=2\n")
    return tmp_path


@many
@given(data=COMPOSE)
def test_any_data_as_compose_file(folder, data):
    path = folder / "compose.yaml"
    path.write_text(yaml.safe_dump(data), errors="surrogatepass")
    check("compose", path)


@many
@given(data=PM2)
def test_any_data_as_pm2_json(folder, data):
    path = folder / "ecosystem.config.json"
    path.write_text(json.dumps(data))
    check("pm2", path)


@many
@given(data=PM2)
def test_any_data_as_pm2_yaml(folder, data):
    path = folder / "ecosystem.config.yaml"
    path.write_text(yaml.safe_dump(data), errors="surrogatepass")
    check("pm2", path)


@many
@given(text=PROCFILES, env=st.text(max_size=40))
def test_any_text_as_procfile(folder, text, env):
    (folder / ".env").write_bytes(env.encode(errors="surrogatepass"))
    (folder / "Procfile").write_bytes(text.encode(errors="surrogatepass"))
    check("procfile", folder / "Procfile")


@many
@given(text=st.text(max_size=200))
def test_any_text_as_any_file(folder, text):
    for tool, name in (("compose", "compose.yaml"), ("pm2", "x.json"), ("pm2", "x.yaml"), ("procfile", "Procfile")):
        (folder / name).write_bytes(text.encode(errors="surrogatepass"))
        check(tool, folder / name)
