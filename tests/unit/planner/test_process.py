"""All levels of a definition, merged into each process."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from omnitron.planner.resolve.process import Listener, PlannedProcess, Probe, of_app
from omnitron.planner.resolve.program import Program
from omnitron.policy.host_spec import Http
from tests.support.build import bootstrap, facts, loaded, planned, shop, units, write

COMMAND = {"command": ["/bin/sleep", "1"]}


SHELL = ("/bin/sh", "-c")


def processes(folder: Path, entry: dict[str, Any], *own: dict[str, Any], **more: Any) -> tuple[PlannedProcess, ...]:
    """The processes of an app with an entry, and with a bootstrap of processes where there are some."""
    system = more.pop("system", {})
    if own:
        each = [{"name": f"p{index}", **COMMAND, **settings} for index, settings in enumerate(own)]
        entry = entry | {"bootstrap": bootstrap(folder, *each, **system)}
    plan = planned(folder, shop({"name": "app", **entry}, **more))
    return plan.stacks[0].apps["app"]


@pytest.mark.parametrize(
    ("entry", "own", "pools"),
    [
        (None, [], [None]),
        (1, [], [None]),
        (3, [], [3]),
        (None, [None], [None]),
        (None, [2], [2]),
        # An entry's count is that of its only process, or of its pools.
        (3, [None], [3]),
        (3, [2], [3]),
        (1, [2], [1]),
        (3, [None, 2], [None, 3]),
        (3, [None, None], [None, None]),
        (None, [1, 4], [None, 4]),
    ],
)
def test_pools(tmp_path: Path, entry: int | None, own: list[int | None], pools: list[int | None]) -> None:
    def counted(count: int | None) -> dict[str, Any]:
        return {"instances": count} if count else {}

    found = processes(tmp_path, counted(entry), *map(counted, own))
    assert [process.pool for process in found] == pools


def test_scaling_makes_a_pool_even_of_one(tmp_path: Path) -> None:
    (process,) = processes(tmp_path, {}, {"scaling": {}})
    assert (process.pool, process.unit) == (1, "omnitron-dev-app-p0@.service")
    assert process.services == ("omnitron-dev-app-p0@1.service",)


def test_names_of_units(tmp_path: Path) -> None:
    more = {"stacks": {"my-stack": {"type": "local"}}, "unitPrefix": "acme"}
    single, pool = processes(tmp_path, {}, {}, {"instances": 2}, **more)
    assert (single.unit, single.slice) == ("acme-my_stack-app-p0.service", "acme-my_stack-app.slice")
    assert pool.unit == "acme-my_stack-app-p1@.service"
    assert pool.services == ("acme-my_stack-app-p1@1.service", "acme-my_stack-app-p1@2.service")
    (alone,) = processes(tmp_path, {}, **more)
    assert (alone.unit, alone.slice, alone.alone) == ("acme-my_stack-app-main.service", "acme-my_stack.slice", True)


def test_the_environment_is_that_of_the_outermost_level_and_ours_wins(tmp_path: Path) -> None:
    levels = ("OWN", "SYSTEM", "ENTRY", "STACK")
    env = {level: dict.fromkeys(levels[: index + 1], level) for index, level in enumerate(levels)}
    forged = {"OMNITRON_STACK": "forged"}
    (process,) = processes(
        tmp_path,
        {"env": env["ENTRY"] | forged},
        {"env": env["OWN"]},
        system={"env": env["SYSTEM"]},
        stacks={"dev": {"type": "local", "settings": {"env": env["STACK"] | forged}}},
    )
    assert dict(process.environment) == {
        **dict.fromkeys(levels, "STACK"),
        "OMNITRON_PROJECT": "shop",
        "OMNITRON_STACK": "dev",
        "OMNITRON_STACK_TYPE": "local",
        "OMNITRON_APP_NAME": "app",
    }
    (process,) = processes(
        tmp_path, {"env": {"A": "entry"}}, {"env": {"A": "own", "B": "own"}}, system={"env": {"B": "s"}}
    )
    assert {name: value for name, value in process.environment if len(name) == 1} == {"A": "entry", "B": "s"}


@pytest.mark.parametrize(
    ("key", "entry", "own", "meant"),
    [
        ("startup_timeout", 5, None, 5),
        ("startup_timeout", 5, 7, 7),
        ("startup_timeout", None, None, 30_000),
        ("hardening", "off", None, "off"),
        ("hardening", "off", "standard", "standard"),
        ("hardening", None, None, "strict"),
        ("group", "adm", None, "adm"),
        ("group", "adm", "games", "games"),
        ("user", "www-data", None, "www-data"),
        ("user", "www-data", "games", "games"),
        ("critical", True, None, True),
        ("critical", True, False, True),
        ("critical", None, True, True),
        ("critical", None, None, False),
    ],
)
def test_settings_are_those_of_the_process_or_else_of_the_app(
    tmp_path: Path, key: str, entry: Any, own: Any, meant: Any
) -> None:
    said = [{key: value} if value is not None else {} for value in (entry, own)]
    (process,) = processes(tmp_path, said[0], said[1])
    assert getattr(process, key) == meant


def test_limits_merge_field_by_field_and_paths_are_taken_as_a_whole(tmp_path: Path) -> None:
    entry = {"limits": {"memoryMax": 1, "tasksMax": 2}, "paths": {"state": True}}
    inherits, own = processes(tmp_path, entry, {}, {"limits": {"tasksMax": 3}, "paths": {"cache": "c"}})
    assert (inherits.limits.memory_max, inherits.limits.tasks_max, inherits.paths.state) == (1, 2, True)
    assert (own.limits.memory_max, own.limits.tasks_max, own.paths.state, own.paths.cache) == (1, 3, False, "c")


def test_defaults_hold_for_what_does_not_say_otherwise(tmp_path: Path) -> None:
    defaults = {"user": "games", "hardening": "standard", "limits": {"memoryMax": 1, "cpuWeight": 7}}
    data = shop(
        {"name": "a", "command": ["x"]},
        {"name": "b", "command": ["x"], "user": "lp", "hardening": "off", "limits": {"memoryMax": 2}},
        nobody=True,
        defaults=defaults,
    )
    (plain,), (own,) = planned(tmp_path, data).stacks[0].apps.values()
    assert (plain.user, plain.hardening, plain.limits.memory_max, plain.limits.cpu_weight) == (
        "games",
        "standard",
        1,
        7,
    )
    assert (own.user, own.hardening, own.limits.memory_max, own.limits.cpu_weight) == ("lp", "off", 2, 7)


@pytest.mark.parametrize(
    ("system", "entry", "meant"),
    [
        ({}, {}, (10_000, 0)),
        ({}, {"timeout": 1, "priority": 2}, (1, 2)),
        ({"timeout": 3}, {"timeout": 1, "priority": 2}, (3, 0)),
    ],
)
def test_shutdown_is_that_of_the_bootstrap_or_else_of_the_entry(
    tmp_path: Path, system: dict[str, int], entry: dict[str, int], meant: tuple[int, int]
) -> None:
    (process,) = processes(tmp_path, {"shutdown": entry}, {}, system={"shutdown": system} if system else {})
    assert (process.stop_timeout, process.stop_priority) == meant


@pytest.mark.parametrize(("owner", "meant"), [("deploy", "deploy"), ("root", None)])
def test_the_user_is_the_owner_of_the_definition_unless_that_is_root(
    tmp_path: Path, owner: str, meant: str | None
) -> None:
    ecosystem = loaded(tmp_path, shop({"name": "app"}, nobody=True))
    ecosystem = replace(ecosystem, owner=owner, owner_is_root=owner == "root")
    (process,) = of_app(ecosystem, "dev", ecosystem.apps[0], facts(), {})
    assert process.user == meant


@pytest.mark.parametrize(
    ("ecosystem", "stack", "system", "own", "meant"),
    [
        (None, None, None, None, "info"),
        ("warn", None, None, None, "warn"),
        ("warn", "error", None, None, "error"),
        ("warn", "error", "debug", None, "debug"),
        ("warn", "error", "debug", "trace", "trace"),
        ("warn", None, None, "fatal", "fatal"),
    ],
)
def test_the_log_level_is_the_innermost(
    tmp_path: Path, ecosystem: str | None, stack: str | None, system: str | None, own: str | None, meant: str
) -> None:
    def observed(level: str | None) -> dict[str, Any]:
        return {"observability": {"logging": {"level": level}}} if level else {}

    (process,) = processes(
        tmp_path,
        {},
        observed(own),
        system=observed(system),
        logging={"level": ecosystem} if ecosystem else {},
        stacks={"dev": {"type": "local", "settings": {"logLevel": stack} if stack else {}}},
    )
    assert process.log_level == meant


@pytest.mark.parametrize(
    ("transports", "listeners", "sockets"),
    [
        ({}, [], []),
        ({"http": {"port": 80}}, [Listener("http", "0.0.0.0", 80, False)], []),
        ({"http": {"port": 80, "host": "::", "socketActivation": True}}, [Listener("http", "::", 80, True)], [""]),
        (
            {"websocket": {"port": 81, "socketActivation": True}, "http": {"port": 80, "socketActivation": True}},
            [Listener("http", "0.0.0.0", 80, True), Listener("websocket", "0.0.0.0", 81, True)],
            ["-http", "-websocket"],
        ),
        (
            {"websocket": {"port": 81, "socketActivation": True}, "http": {"port": 80}},
            [Listener("http", "0.0.0.0", 80, False), Listener("websocket", "0.0.0.0", 81, True)],
            [""],
        ),
    ],
)
def test_listeners(tmp_path: Path, transports: Any, listeners: list[Listener], sockets: list[str]) -> None:
    (process,) = processes(tmp_path, {"transports": transports})
    assert list(process.listeners) == listeners
    assert list(process.socket_units) == [f"omnitron-dev-app-main{suffix}.socket" for suffix in sockets]


@pytest.mark.parametrize(
    ("health", "probe"),
    [
        (None, None),
        ({}, None),
        ({"enabled": False, "probe": {"type": "tcp"}}, None),
        ({"probe": {"type": "tcp"}}, Probe("tcp", ("127.0.0.1:3000",), 5000, 15000, 3)),
        ({"probe": {"type": "tcp", "target": "h:1"}, "timeout": 7}, Probe("tcp", ("h:1",), 7, 15000, 3)),
        (
            {"probe": {"type": "tcp", "target": "h:1"}, "startPeriod": "2s"},
            Probe("tcp", ("h:1",), 5000, 15000, 3, 2000),
        ),
        ({"probe": {"type": "http"}}, Probe("http", ("http://127.0.0.1:3000/",), 5000, 15000, 3)),
        ({"probe": {"type": "http", "target": "/a?b"}}, Probe("http", ("http://127.0.0.1:3000/a?b",), 5000, 15000, 3)),
        ({"probe": {"type": "http", "target": "http://h/"}}, Probe("http", ("http://h/",), 5000, 15000, 3)),
        ({"probe": {"type": "command", "command": ["x", "y"]}}, Probe("command", ("x", "y"), 5000, 15000, 3)),
        (
            {"probe": {"type": "command", "command": "x | y"}},
            Probe("command", (*SHELL, "x | y"), 5000, 15000, 3),
        ),
    ],
)
def test_probes(tmp_path: Path, health: Any, probe: Probe | None) -> None:
    entry = {"transports": {"http": {"port": 3000}}} | ({} if health is None else {"health": health})
    (process,) = processes(tmp_path, entry)
    assert process.probe == probe


@pytest.mark.parametrize(
    ("host", "asked"),
    [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("10.0.0.1", "10.0.0.1"), ("::1", "[::1]"), ("[::1]", "[::1]")],
)
def test_a_probe_asks_the_address_that_a_process_listens_on(tmp_path: Path, host: str, asked: str) -> None:
    transports = {"http": {"port": 1, "host": host}}
    for kind, target in (("tcp", f"{asked}:1"), ("http", f"http://{asked}:1/")):
        (process,) = processes(tmp_path, {"transports": transports, "health": {"probe": {"type": kind}}})
        assert process.probe and process.probe.argv == (target,)


@pytest.mark.parametrize(
    ("entry", "argv"),
    [
        ({"command": ["node", "a b"]}, ("node", "a b")),
        ({"command": ["/bin/x", "./y"]}, ("/bin/x", "./y")),
        ({"command": ["./x"]}, ("{}/x",)),
        ({"command": ["bin/x"], "cwd": "sub"}, ("{}/sub/bin/x",)),
        ({"script": "run.py"}, ("/usr/bin/python3", "{}/run.py")),
        ({"script": "run.mjs"}, ("node", "{}/run.mjs")),
        ({"script": "run.sh"}, ("{}/run.sh",)),
    ],
)
def test_what_is_run(tmp_path: Path, entry: dict[str, Any], argv: tuple[str, ...]) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("run.py", "run.mjs", "run.sh"):
        (tmp_path / name).touch(mode=0o755)
    (process,) = processes(tmp_path, entry)
    assert process.program.argv == tuple(word.format(tmp_path) for word in argv)


def test_a_python_script_runs_in_the_nearest_virtual_environment(tmp_path: Path) -> None:
    (tmp_path / "base/bin").mkdir(parents=True)
    (tmp_path / "base/bin/python3").touch()
    for folder in (".venv", "app/venv"):
        write(tmp_path / folder / "bin", "", "", "x")
        (tmp_path / folder / "bin/python").symlink_to(tmp_path / "base/bin/python3")
    for cwd, venv in (("app", "app/venv"), ("other", ".venv")):
        write(tmp_path / cwd, "", ".py", "run")
        (process,) = processes(tmp_path, {"script": "run.py", "cwd": cwd, "env": {"PYTHONUNBUFFERED": ""}})
        assert process.program == Program(
            (f"{tmp_path}/{venv}/bin/python", f"{tmp_path}/{cwd}/run.py"),
            (tmp_path / cwd, tmp_path / venv, tmp_path / "base"),
            (("PYTHONUNBUFFERED", "1"),),
        )
        assert dict(process.environment)["PYTHONUNBUFFERED"] == ""


def test_a_module_is_run_by_the_process_host(tmp_path: Path) -> None:
    (tmp_path / "m.py").touch()
    file = bootstrap(tmp_path, {"name": "http", "module": "m.py", "transports": {"http": {"port": 3000}}})
    plan = planned(tmp_path, shop({"name": "api", "bootstrap": file}))
    (process,) = plan.stacks[0].apps["api"]
    assert process.hosted is not None
    spec = f"/etc/omnitron/omnitron-dev.hosts/api-http-{process.hosted.digest}.json"
    assert process.program.argv == ("/usr/bin/python3", "-P", "-m", "omnitron.host", spec)
    assert process.socket_units == ("omnitron-dev-api-http.socket",)
    values = units(plan)["omnitron-dev-api-http.service"].values
    assert (values["type"], values["watchdog_sec"]) == ("notify", "25s")
    assert values["runtime_directory"] == "omnitron/dev/api-http"
    assert process.hosted.document.http == Http("0.0.0.0", 3000)


@pytest.mark.parametrize(
    ("health", "watchdog"), [({"enabled": False}, None), ({"interval": "1s", "timeout": "1s"}, "3s")]
)
def test_the_watchdog_follows_the_health_checks(tmp_path: Path, health: dict[str, Any], watchdog: str | None) -> None:
    (tmp_path / "m.py").touch()
    file = bootstrap(tmp_path, {"name": "http", "module": "m.py", "health": health})
    plan = planned(tmp_path, shop({"name": "api", "bootstrap": file}))
    assert units(plan)["omnitron-dev-api-http.service"].values.get("watchdog_sec") == watchdog


def test_the_spec_of_a_process_tells_one_start_from_the_next(tmp_path: Path) -> None:
    (tmp_path / "m.py").touch()
    lines = set()
    for level in ("info", "debug"):
        said = {"observability": {"logging": {"level": level}}}
        file = bootstrap(tmp_path, {"name": "http", "module": "m.py", **said})
        (process,) = planned(tmp_path, shop({"name": "api", "bootstrap": file})).stacks[0].apps["api"]
        lines.add(process.program.argv)
    assert len(lines) == 2


def test_who_may_call_an_exposed_socket(tmp_path: Path) -> None:
    (tmp_path / "w.py").write_text('from omnitron import service\n@service("Work")\nclass W: ...\n')
    (tmp_path / "f.py").touch()
    file = bootstrap(
        tmp_path,
        {"name": "worker", "module": "w.py", "topology": {"expose": True}, "user": "www-data"},
        {"name": "front", "module": "f.py", "topology": {"access": ["Work"]}, "user": "games"},
        {"name": "other", "module": "f.py", "user": "lp"},
    )
    plan = planned(tmp_path, shop({"name": "api", "bootstrap": file}))
    worker, front, other = (p.hosted.document for p in plan.stacks[0].apps["api"] if p.hosted)
    assert worker.callers == ("games",)
    assert front.access == {"Work": "%t/omnitron/dev/api-worker.sock"}
    assert other.access == {}
    socket = units(plan)["omnitron-dev-api-worker.socket"].values
    assert (socket["listen_stream"], socket["socket_mode"]) == ("%t/omnitron/dev/api-worker.sock", "0666")
