"""The directives of a process's service, for each kind of process, version and scope."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

import omnitron.supervision.helpers
from omnitron.planner.facts import HostFacts
from omnitron.planner.units import hardening
from omnitron.planner.units.service import CLEAN_EXIT, CLEAN_SIGNALS, RUN_IF_THERE, SOURCE_IF_THERE
from omnitron.planner.units.values import Assignment, Command, Literal, Own, Unit, Value, Word
from tests.support.build import HELPERS, bootstrap, facts, planned, shop, units

VERSIONS = (252, 254, 257, 262)
LIMITS = ("memory_max", "memory_high", "cpu_quota", "cpu_weight", "tasks_max", "io_weight")


def service(folder: Path, app: dict[str, Any], on: HostFacts | None = None, **more: Any) -> Unit:
    name = "omnitron-dev-app-main@.service" if app.get("instances", 1) > 1 else "omnitron-dev-app-main.service"
    return units(planned(folder, shop({"name": "app"} | app, **more), on))[name]


def given(unit: Unit, *keys: str) -> dict[str, Value]:
    """The directives that a unit has, without those left out."""
    return {key: unit.values[key] for key in keys if unit.values.get(key) is not None}


def helper(file: str, *flags: str) -> Command:
    own = (Own("%n"), "--record", Own("%t/omnitron/omnitron/%n.crashes"), *flags)
    words = (f"{HELPERS}/{file}", "/usr/bin/python3", *own)
    if file == "count_crash.sh":
        return Command(("/bin/sh", "-c", SOURCE_IF_THERE, *words), prefix="+")
    return Command(("/bin/sh", *words), prefix="-+")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("scope", ["system", "user"])
def test_all_directives_of_a_plain_service(tmp_path: Path, version: int, scope: str) -> None:
    on = facts(version, scope)
    unit = service(tmp_path, {"hardening": "off"}, on)
    user = scope == "user"
    flags = ("--user",) if user else ()
    before = Command(
        (
            "/bin/sh",
            f"{HELPERS}/start_delay.sh",
            "/usr/bin/python3",
            Own("%n"),
            *flags,
            "--record",
            Own("%t/omnitron/omnitron/%n.crashes"),
            "--window",
            "60000",
            "--backoff",
            "exponential:1000:30000:2",
        ),
        "-+",
    )
    after = Command(
        (
            "/bin/sh",
            "-c",
            SOURCE_IF_THERE,
            f"{HELPERS}/count_crash.sh",
            "/usr/bin/python3",
            Own("%n"),
            *flags,
            "--record",
            Own("%t/omnitron/omnitron/%n.crashes"),
            "--budget",
            "5:60000",
            "--backoff",
            "exponential:1000:30000:2",
        ),
        "+",
    )
    assert {key: value for key, value in unit.values.items() if value is not None} == {
        "description": Literal("dev/app"),
        "source": Literal(f"{tmp_path}/omnitron.config.yaml"),
        "part_of": "omnitron-dev.target",
        **({} if user else {"after": "network.target", "user": "www-data"}),
        "slice": "omnitron-dev.slice",
        "type": "exec",
        "notify_access": "exec",
        "working_directory": Literal(str(tmp_path)),
        "environment": tuple(
            Assignment(f"OMNITRON_{name}", value)
            for name, value in (("PROJECT", "shop"), ("STACK", "dev"), ("STACK_TYPE", "local"), ("APP_NAME", "app"))
        ),
        "exec_start": Command(("/bin/sleep", "1")),
        "exec_start_pre": before,
        "exec_stop_post": after,
        "timeout_start_sec": "30s",
        "timeout_stop_sec": "10s",
        "kill_mode": "mixed",
        "restart": "on-failure",
        "restart_sec": 0,
        **({"restart_mode": "direct"} if version >= 254 else {}),
        "success_exit_status": "143",
        "restart_force_exit_status": "143 SIGTERM SIGINT SIGHUP SIGPIPE",
        "start_limit_interval_sec": 10,
        "start_limit_burst": 20,
        "syslog_identifier": "app",
        "log_level_max": "info",
        "project": "shop",
        "stack": "dev",
        "app": "app",
        "process": "main",
    }


def test_a_service_carries_its_sandbox(tmp_path: Path) -> None:
    on = facts()
    plan = planned(tmp_path, shop({"name": "app"}), on)
    sandbox = hardening.directives(plan.stacks[0].apps["app"][0], on)
    values = units(plan)["omnitron-dev-app-main.service"].values
    assert sandbox.items() <= dict(values).items()


RESTART = ("restart", "restart_sec", "start_limit_interval_sec", "start_limit_burst", "notify_access")
NATIVE: dict[str, Any] = {"restart": "on-failure", "restart_sec": 0}


@pytest.mark.parametrize(
    ("policy", "directives"),
    [
        ({"enabled": False}, {"restart": "no", "start_limit_interval_sec": 0}),
        ({"delay": 0}, {**NATIVE, "start_limit_interval_sec": "60s", "start_limit_burst": 6}),
        (
            {"backoff": {"initial": 0}, "maxRestarts": 0, "window": 1500},
            {**NATIVE, "start_limit_interval_sec": "1500ms", "start_limit_burst": 1},
        ),
        (
            {"backoff": {"initial": 0}, "window": 0, "restart": "always"},
            {"restart": "always", "restart_sec": 0, "start_limit_interval_sec": "1ms", "start_limit_burst": 6},
        ),
    ],
)
def test_a_policy_without_a_delay_has_no_helpers(
    tmp_path: Path, policy: dict[str, Any], directives: dict[str, Any]
) -> None:
    unit = service(tmp_path, {"restartPolicy": policy})
    assert given(unit, *RESTART, "exec_start_pre", "exec_stop_post") == directives


def test_the_helpers_are_told_the_policy(tmp_path: Path) -> None:
    policy = {"restart": "always", "maxRestarts": 3, "window": "1s", "backoff": {"type": "linear", "max": "5s"}}
    unit = service(tmp_path, {"restartPolicy": policy})
    backoff = ("--backoff", "linear:1000:5000:2")
    assert unit.values["exec_start_pre"] == helper("start_delay.sh", "--window", "1000", *backoff)
    assert unit.values["exec_stop_post"] == helper(
        "count_crash.sh", "--budget", "3:1000", *backoff, "--restart", "always"
    )
    assert given(unit, *RESTART) == {
        "restart": "always",
        "restart_sec": 0,
        "start_limit_interval_sec": 10,
        "start_limit_burst": 20,
        "notify_access": "exec",
    }


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_a_group_shares_one_crash_record(tmp_path: Path, strategy: str) -> None:
    on, more = facts(), {"supervision": {"strategy": strategy}, "unitPrefix": "my-prefix"}
    plan = planned(tmp_path, shop({"name": "a"}, {"name": "b"}, **more), on)
    records = {
        word.text
        for unit in plan.stacks[0].units
        for key in ("exec_start_pre", "exec_stop_post")
        if isinstance(command := unit.values.get(key), Command)
        for word in command.words
        if isinstance(word, Own) and word.text.startswith("%t")
    }
    assert records == {"%t/omnitron/my_prefix/my_prefix-dev.crashes"}


def test_a_critical_process_ends_the_stack(tmp_path: Path) -> None:
    unit = service(tmp_path, {"critical": True})
    assert given(unit, "on_failure") == {"on_failure": "omnitron-dev-critical-failure-check.service"}
    assert given(service(tmp_path, {}), "on_failure") == {}


def test_a_probe_has_the_whole_start_timeout_and_systemd_a_little_more(tmp_path: Path) -> None:
    health = {"timeout": "2s", "probe": {"type": "http", "target": "http://h:1/%x"}}
    unit = service(tmp_path, {"health": health, "startupTimeout": "20s"})
    assert unit.values["timeout_start_sec"] == "25s"
    flags = ("--deadline-ms", "20000", "--timeout-ms", "2000", "--http", "http://h:1/%x")
    helper = f"{HELPERS}/run.py"
    own = ("/bin/sh", "-c", RUN_IF_THERE, helper, "/usr/bin/python3", "-I", "-S", helper, "readiness_probe")
    assert unit.values["exec_start_post"] == Command((*own, *flags))


@pytest.mark.parametrize(("milliseconds", "text"), [(0, "1ms"), (1, "1ms"), (1500, "1500ms"), (60_000, "60s")])
def test_timeouts(tmp_path: Path, milliseconds: int, text: str) -> None:
    """systemd takes 0 for no limit."""
    unit = service(tmp_path, {"startupTimeout": milliseconds, "shutdown": {"timeout": milliseconds}})
    assert given(unit, "timeout_start_sec", "timeout_stop_sec") == {"timeout_start_sec": text, "timeout_stop_sec": text}


def test_limits(tmp_path: Path) -> None:
    limits = {
        "memoryMax": "1gb",
        "memoryHigh": "512mb",
        "cpuQuota": "150%",
        "cpuWeight": 5,
        "tasksMax": 6,
        "ioWeight": 7,
    }
    assert given(service(tmp_path, {"limits": limits}), *LIMITS) == {
        "memory_max": 1 << 30,
        "memory_high": 512 << 20,
        "cpu_quota": "150%",
        "cpu_weight": 5,
        "tasks_max": 6,
        "io_weight": 7,
    }
    assert given(service(tmp_path, {}), *LIMITS) == {}


@pytest.mark.parametrize(
    ("paths", "folders"),
    [
        ({}, {}),
        ({"state": True}, {"state_directory": Word("omnitron/dev/app")}),
        ({"cache": "shared/x"}, {"cache_directory": Word("omnitron/dev/shared/x")}),
        ({"state": False, "cache": True}, {"cache_directory": Word("omnitron/dev/app")}),
    ],
)
def test_folders(tmp_path: Path, paths: dict[str, Any], folders: dict[str, Value]) -> None:
    assert given(service(tmp_path, {"paths": paths}), "state_directory", "cache_directory") == folders


@pytest.mark.parametrize(
    ("app", "scope", "account"),
    [
        ({"user": "games", "group": "adm"}, "system", {"user": "games", "group": "adm"}),
        ({"user": "games"}, "system", {"user": "games"}),
        ({"user": "root"}, "system", {"user": "root"}),
        ({"user": "dynamic", "group": "adm"}, "system", {"dynamic_user": True, "user": "o_app_f7393faa"}),
        ({"user": "games", "group": "adm"}, "user", {}),
    ],
)
def test_accounts(tmp_path: Path, app: dict[str, Any], scope: str, account: dict[str, Value]) -> None:
    assert given(service(tmp_path, app, facts(scope=scope)), "user", "group", "dynamic_user") == account


@pytest.mark.parametrize(
    ("level", "maximum"),
    [
        ("fatal", "crit"),
        ("error", "err"),
        ("warn", "warning"),
        ("info", "info"),
        ("debug", None),
        ("trace", None),
    ],
)
def test_log_levels(tmp_path: Path, level: str, maximum: str | None) -> None:
    assert service(tmp_path, {}, logging={"level": level}).values["log_level_max"] == maximum


HELD_BACK = ("LD_PRELOAD", "PATH", "BASH_ENV", "IFS", "GLIBC_TUNABLES", "NOTIFY_SOCKET", "BASH_FUNC_x")


@pytest.mark.parametrize("name", HELD_BACK)
def test_what_could_take_over_a_helper_reaches_the_program_alone(tmp_path: Path, name: str) -> None:
    health = {"probe": {"type": "tcp", "target": "h:1"}}
    unit = service(tmp_path, {"env": {name: "a b", "MINE": "x"}, "health": health})
    assert Assignment("MINE", "x") in (unit.values["environment"] or ())  # type: ignore[operator]
    assert name not in str(unit.values["environment"])
    assert unit.values["exec_start"] == Command(("/usr/bin/env", f"{name}=a b", "/bin/sleep", "1"))
    probe = unit.values["exec_start_post"]
    assert isinstance(probe, Command) and probe.words[:3] == ("/usr/bin/env", f"{name}=a b", "/bin/sh")
    for key in ("exec_start_pre", "exec_stop_post"):
        assert name not in str(unit.values[key])


def test_a_program_with_an_equals_sign_is_not_taken_for_a_variable(tmp_path: Path) -> None:
    (tmp_path / "a=b").write_text("#!/bin/sh\necho $LD_MINE $1\n")
    (tmp_path / "a=b").chmod(0o755)
    command = service(tmp_path, {"command": ["./a=b", "x"], "env": {"LD_MINE": "1"}}).values["exec_start"]
    assert isinstance(command, Command)
    assert subprocess.run([str(word) for word in command.words], capture_output=True, text=True).stdout == "1 x\n"


def test_raw_directives_are_passed_on_in_their_order(tmp_path: Path) -> None:
    raw = {
        "unit": {"Documentation": ["a:1", "a:2"]},
        "service": {"Nice": 5, "RemainAfterExit": False, "ExecReload": "%n"},
    }
    assert service(tmp_path, {"systemd": raw}).raw == {
        "Unit": (("Documentation", "a:1"), ("Documentation", "a:2")),
        "Service": (("Nice", "5"), ("RemainAfterExit", "no"), ("ExecReload", "%n")),
    }


def test_instances_of_a_pool_know_their_number(tmp_path: Path) -> None:
    environment = service(tmp_path, {"instances": 2}).values["environment"]
    assert isinstance(environment, tuple)
    assert environment[-1] == "OMNITRON_INSTANCE=%i"


def test_sockets_and_their_holders(tmp_path: Path) -> None:
    """Clients start the holder, never the app; the services get what the socket holds."""
    transports = {
        "http": {"port": 3000, "socketActivation": True},
        "websocket": {"port": 3001, "host": "::1", "socketActivation": True},
    }
    plan = planned(tmp_path, shop({"name": "app", "transports": transports, "instances": 2}))
    stem = "omnitron-dev-app-main"
    both = f"{stem}-http.socket {stem}-websocket.socket"
    assert given(units(plan)[f"{stem}@.service"], "sockets", "requires", "after") == {
        "sockets": both,
        "requires": both,
        "after": f"network.target {both}",
    }
    socket, holder = units(plan)[f"{stem}-websocket.socket"], units(plan)[f"{stem}-websocket-hold.service"]
    source = Literal(f"{tmp_path}/omnitron.config.yaml")
    identity = {"project": "shop", "stack": "dev", "app": "app", "process": "main"}
    assert (socket.template, socket.values) == (
        "socket",
        {
            "description": Literal("websocket socket of dev/app"),
            "source": source,
            "part_of": "omnitron-dev.target",
            "slice": "omnitron-dev.slice",
            "listen_stream": Literal("[::1]:3001"),
            "socket_mode": None,
            "no_delay": True,
            "file_descriptor_name": "websocket",
            "service": f"{stem}-websocket-hold.service",
            **identity,
        },
    )
    assert (holder.template, holder.values) == (
        "hold",
        {
            "description": Literal("holder of the websocket socket of dev/app"),
            "source": source,
            "part_of": f"{stem}-websocket.socket",
            "slice": "omnitron-dev.slice",
            **identity,
        },
    )


def test_a_process_of_several_belongs_to_its_app(tmp_path: Path) -> None:
    command = {"command": ["/bin/sleep", "1"]}
    http = {"name": "http", **command, "transports": {"http": {"port": 1, "socketActivation": True}}}
    file = bootstrap(tmp_path, http, {"name": "worker", **command})
    found = units(planned(tmp_path, shop({"name": "app", "bootstrap": file})))
    for name in ("omnitron-dev-app-http.service", "omnitron-dev-app-worker.service", "omnitron-dev-app-http.socket"):
        assert given(found[name], "part_of", "slice") == {
            "part_of": "omnitron-dev.target omnitron-dev-app.target",
            "slice": "omnitron-dev-app.slice",
        }
    assert found["omnitron-dev-app-http.service"].values["syslog_identifier"] == "app-http"
    assert found["omnitron-dev-app-http.service"].values["description"] == Literal("dev/app:http")


def test_a_dependent_starts_after_the_gates_and_services_of_what_it_needs(tmp_path: Path) -> None:
    """It requires the gates alone: those do not follow a later restart."""
    apps = [{"name": "db"}, {"name": "pool", "instances": 2}, {"name": "app", "dependsOn": ["db", "pool", "db"]}]
    unit = units(planned(tmp_path, shop(*apps)))["omnitron-dev-app-main.service"]
    assert given(unit, "requires", "after") == {
        "requires": "omnitron-dev-db-ready.service omnitron-dev-pool-ready.service",
        "after": "network.target omnitron-dev-db-ready.service omnitron-dev-db-main.service "
        "omnitron-dev-pool-ready.service omnitron-dev-pool-main@1.service omnitron-dev-pool-main@2.service",
    }


def test_a_need_of_another_stack_is_none_here(tmp_path: Path) -> None:
    stacks = {"dev": {"type": "local", "apps": ["app", "db"]}, "x": {"type": "local", "apps": ["db"]}}
    plan = planned(tmp_path, shop({"name": "db"}, {"name": "app", "dependsOn": ["db"]}, stacks=stacks))
    assert "omnitron-dev-db-ready.service" in units(plan, 0)
    assert "omnitron-x-db-ready.service" not in units(plan, 1)


def test_a_probe_that_is_gone_is_no_failure_and_one_out_of_sight_is() -> None:
    def asked(helper: str, *user: str) -> subprocess.CompletedProcess[str]:
        argv = [*user, "/bin/sh", "-c", RUN_IF_THERE, helper, "/bin/sh", helper]
        return subprocess.run(argv, capture_output=True, text=True, check=False)

    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        helper = f"{folder}/probe.py"
        Path(helper).write_text("exit 7\n")
        assert asked(helper).returncode == 7
        for gone in (f"{folder}/other.py", f"{folder}/a/b/probe.py", "/nowhere/probe.py"):
            done = asked(gone)
            assert (done.returncode, done.stdout) == (0, "")
            assert done.stderr == f"<4>it runs, and nobody asks whether it is healthy: no {gone}\n"
        if os.geteuid() == 0:
            Path(folder).chmod(0o700)
            assert asked(helper, "setpriv", "--reuid=65534", "--clear-groups").returncode not in (0, 7)


def test_the_crash_helper_knows_the_same_clean_ends() -> None:
    script = Path(omnitron.supervision.helpers.__path__[0]) / "count_crash.sh"
    listed = " | ".join([rf"exited:{CLEAN_EXIT}\ *", *(rf"killed:{name}\ *" for name in CLEAN_SIGNALS)])
    assert f"    {listed}) ;;\n" in script.read_text()
