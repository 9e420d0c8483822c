"""The units of one process: its service, the sockets that systemd holds for it, and their holder."""

from __future__ import annotations

from collections.abc import Iterator

from omnitron import names
from omnitron.definition.directives import raw_lines
from omnitron.planner.facts import HELPER_STARTER, RESTART_MODE, HostFacts
from omnitron.planner.resolve.environment import of_unit, with_own_variables, with_secrets
from omnitron.planner.resolve.host_spec import JWT_CREDENTIAL, runtime_folder
from omnitron.planner.resolve.process import PlannedProcess, ServerSpec
from omnitron.planner.units import hardening
from omnitron.planner.units.names import StackNames
from omnitron.planner.units.values import Assignment, Command, Literal, Own, Unit, Value, Word

DYNAMIC_USER = "dynamic"

SYSLOG_LEVELS = {
    "fatal": "crit",
    "error": "err",
    "warn": "warning",
    "info": "info",
}
"""`LogLevelMax=` for each level that leaves something out; at `debug`, systemd would add lines of its own."""

SOURCE_IF_THERE = '[ ! -r "$0" ] || . "$0"'

RUN_IF_THERE = (
    'd=$0; while [ -n "$d" ] && [ ! -e "$d" ]; do d=${d%/*}; done; '
    '[ "$d" != "$0" ] && [ -x "${d:-/}" ] || exec "$@"; '
    'echo "<4>it runs, and nobody asks whether it is healthy: no $0" >&2'
)
"""A helper that is only out of sight, behind a folder that may not be searched, is run, and fails."""

NATIVE_START_LIMIT = (10, 20)
"""Seconds and starts: guards only against helpers that are missing."""

CLEAN_EXIT = "143"
"""The exit status of a program that ends itself as SIGTERM would."""
CLEAN_SIGNALS = ("TERM", "INT", "HUP", "PIPE")
"""systemd takes these for a clean end; from outside, they are a crash: `count_crash.sh` has the same list."""


def units_of(process: PlannedProcess, stack: StackNames, needs: tuple[str, ...], facts: HostFacts) -> Iterator[Unit]:
    """Yield the units of `process`; `needs` are the units that it must be started after."""
    yield _service(process, stack, needs, facts)
    for name in process.socket_units:
        yield from _socket(process, stack, name)


def _service(process: PlannedProcess, stack: StackNames, needs: tuple[str, ...], facts: HostFacts) -> Unit:
    gates = tuple(name for name in needs if stack.is_gate(name))
    opener = stack.opener if process.secrets and facts.secrets.sealed else None
    values: dict[str, Value] = {
        "description": Literal(_description(process)),
        "source": stack.source,
        "part_of": stack.stack_target if process.alone else f"{stack.stack_target} {stack.app_target(process.app)}",
        "requires": _words((*gates, *process.socket_units)),
        "wants": opener,
        "after": _words(
            (
                *(() if facts.is_user else ("network.target",)),
                *needs,
                *process.socket_units,
                *([opener] if opener else []),
            )
        ),
        "sockets": _words(process.socket_units),
        "slice": process.slice,
        "on_failure": stack.critical_check if process.critical else None,
        "working_directory": Literal(str(process.folder)),
        "environment": _environment(process),
        "exec_start": _program(process, facts),
        "log_level_max": SYSLOG_LEVELS.get(process.log_level),
        "log_namespace": None if facts.is_user else stack.log_namespace,
        "syslog_identifier": names.unit_stem(process.app, *([] if process.alone else [process.name])),
        **_account(process, facts),
        **_start(process, facts),
        **_restart(process, stack, facts),
        **_stop(process),
        **_limits(process),
        **_folders(process),
        **_hosted(process),
        **hardening.directives(process, facts),
        **_native(process),
        **_credentials(process, stack, facts),
        **stack.identity(process.app, process.name),
    }
    raw = {"Unit": tuple(raw_lines(process.raw.unit)), "Service": tuple(raw_lines(process.raw.service))}
    return Unit(process.unit, "service", values, process.app, process.name, raw)


def _program(process: PlannedProcess, facts: HostFacts) -> Command:
    argv = with_own_variables(process, process.program.argv)
    # A process host reads its secrets itself.
    return Command(argv if process.hosted else with_secrets(process, argv, facts))


def _words(names: tuple[str, ...]) -> str | None:
    return " ".join(dict.fromkeys(names)) or None


def _description(process: PlannedProcess) -> str:
    return f"{process.stack}/{process.app}" + ("" if process.alone else f":{process.name}")


def _environment(process: PlannedProcess) -> tuple[Value, ...]:
    assignments: list[Value] = [Assignment(name, value) for name, value in of_unit(process)]
    return (*assignments, "OMNITRON_INSTANCE=%i") if process.pool else tuple(assignments)


def _account(process: PlannedProcess, facts: HostFacts) -> dict[str, Value]:
    if facts.is_user:
        return {}
    if process.user == DYNAMIC_USER:
        # Named, so that the processes of an app are one user and can share its directories.
        return {"dynamic_user": True, "user": names.transient_user(process.prefix, process.stack, process.app)}
    return {"user": process.user, "group": process.group}


def _start(process: PlannedProcess, facts: HostFacts) -> dict[str, Value]:
    kind = "notify" if process.hosted or (process.native and process.native.notifies) else "exec"
    values: dict[str, Value] = {"type": kind, "timeout_start_sec": _seconds(process.startup_timeout)}
    if process.native and process.native.notifies and not process.native.asks:
        # It says itself when it answers; the probe is for later.
        return values | {"exec_start_post": Command(process.native.setup) if process.native.setup else None}
    if process.probe is None:
        return values
    helper = facts.helper("readiness_probe")
    # An app is not ended because our package is gone; with it gone, the gates of those that wait for it fail.
    own = ["/bin/sh", "-c", RUN_IF_THERE, str(facts.helpers / HELPER_STARTER), *helper]
    flags = [
        "--deadline-ms",
        process.startup_timeout,
        "--timeout-ms",
        process.probe.timeout,
        f"--{process.probe.kind}",
    ]
    words = (*(str(item) for item in own), *(str(flag) for flag in flags), *process.probe.argv)
    words = with_own_variables(process, words)
    # The probe ends by its own deadline, with a reason; systemd's comes after it.
    return values | {
        "exec_start_post": Command(words),
        "timeout_start_sec": _seconds(process.startup_timeout + 5_000),
    }


def _restart(process: PlannedProcess, stack: StackNames, facts: HostFacts) -> dict[str, Value]:
    policy = process.restarts
    if not policy.enabled:
        return {"restart": "no", "start_limit_interval_sec": 0}
    values: dict[str, Value] = {
        "restart": policy.restart,
        "restart_sec": 0,
        "restart_mode": "direct" if facts.has(RESTART_MODE) else None,
        "success_exit_status": CLEAN_EXIT,
        "restart_force_exit_status": " ".join((CLEAN_EXIT, *(f"SIG{name}" for name in CLEAN_SIGNALS))),
    }
    if not policy.has_record:
        return values | {
            "start_limit_interval_sec": _seconds(policy.window),
            "start_limit_burst": policy.max_restarts + 1,
        }
    seconds, burst = NATIVE_START_LIMIT
    return values | {
        "start_limit_interval_sec": seconds,
        # A larger budget with short delays must not meet it first.
        "start_limit_burst": max(burst, 2 * policy.max_restarts),
        "notify_access": "exec" if policy.has_delay else None,
        "exec_start_pre": _helper("start_delay.sh", process, stack, facts, ["--window", str(policy.window)])
        if policy.has_delay
        else None,
        "exec_stop_post": _helper("count_crash.sh", process, stack, facts, ["--budget", policy.budget_text]),
    }


def _helper(file: str, process: PlannedProcess, stack: StackNames, facts: HostFacts, flags: list[str]) -> Command:
    record = Own(f"%t/omnitron/{stack.prefix_part}/{process.record(stack.group_record) or '%n'}{names.CRASH_RECORD}")
    user = ("--user",) if facts.is_user else ()
    always = ("--restart", "always") if process.restarts.restart == "always" and file == "count_crash.sh" else ()
    options = (*user, "--record", record, *flags, "--backoff", process.restarts.backoff_text, *always)
    words = (str(facts.helpers / file), str(facts.helper_python), Own("%n"), *options)
    if file == "count_crash.sh":
        # Its exit status counts: it makes a final crash a failure where systemd would call it a success.
        # So the script must not be missed when it is missing, for a stop would then be a failure.
        return Command(("/bin/sh", "-c", SOURCE_IF_THERE, *words), prefix="+")
    return Command(("/bin/sh", *words), prefix="-+")


def _stop(process: PlannedProcess) -> dict[str, Value]:
    return {"kill_mode": "mixed", "timeout_stop_sec": _seconds(process.stop_timeout)}


def _seconds(milliseconds: int) -> str:
    """Return a time span as systemd writes it; zero, which means no limit there, becomes the least span."""
    if milliseconds % 1000 == 0 and milliseconds:
        return f"{milliseconds // 1000}s"
    return f"{max(milliseconds, 1)}ms"


def _limits(process: PlannedProcess) -> dict[str, Value]:
    limits = process.limits
    return {
        "memory_max": limits.memory_max,
        "memory_high": limits.memory_high,
        "cpu_quota": limits.cpu_quota,
        "cpu_weight": limits.cpu_weight,
        "tasks_max": limits.tasks_max,
        "io_weight": limits.io_weight,
    }


def _folders(process: PlannedProcess) -> dict[str, Value]:
    def folder(setting: bool | str) -> Value:
        if setting is False:
            return None
        return Word("/".join((process.prefix, process.stack, process.app if setting is True else setting)))

    return {"state_directory": folder(process.paths.state), "cache_directory": folder(process.paths.cache)}


def _native(process: PlannedProcess) -> dict[str, Value]:
    """Return what a server of the stack's has beside what all have."""
    if process.native is None:
        return {}
    return {
        "runtime_directory": _own_folder(process),
        "kill_signal": process.native.stop_signal,
        "exec_reload": _reload(process.native),
        # It is the user of the distribution's own servers too: what one that was started by hand shares stays.
        "remove_ipc": None,
    }


def _reload(native: ServerSpec) -> tuple[Value, ...] | None:
    """Return what makes a server read its configuration anew: what root does before that, and what it does itself."""
    before = [Command(native.before_reload, "+")] if native.before_reload else []
    return (*before, Command(native.reload)) if native.reload else None


def _own_folder(process: PlannedProcess) -> str:
    """Return the folder below systemd's `%t` that is the process's own."""
    folder = runtime_folder(*process.address)
    return f"{folder}@%i" if process.pool else folder


def _credentials(process: PlannedProcess, stack: StackNames, facts: HostFacts) -> dict[str, Value]:
    """Return what systemd hands to the process, and to nobody else."""
    # Nothing is unquoted in these directives: quotes around a path with a space would be part of it.
    spec, folder = process.hosted, facts.secrets.folder / stack.stem
    key = Literal(f"{JWT_CREDENTIAL}:{spec.jwt_key}") if spec and spec.jwt_key and spec.manager_reads_key else None
    plain: list[Value] = [key] if key else []
    plain += [Literal(f"{name}:{path}") for name, path in (process.native.files if process.native else ())]
    if facts.secrets.sealed:
        plain += [f"{name}:%t/omnitron/.secrets/{stack.stem}/{name}" for name in process.secrets]
        return {"load_credential": tuple(plain) or None}
    sealed = tuple(Literal(f"{name}:{folder / name}.cred") for name in process.secrets)
    return {"load_credential": tuple(plain) or None, "load_credential_encrypted": sealed or None}


def _hosted(process: PlannedProcess) -> dict[str, Value]:
    """Return what a process of the process host has beside what all have."""
    spec = process.hosted
    if spec is None:
        return {}
    values: dict[str, Value] = {
        "exec_reload": "/bin/kill -HUP $MAINPID",
        # All instances share what is said of a socket: without this, each start makes it block in the others.
        "non_blocking": True if process.socket_units else None,
        "runtime_directory": _own_folder(process),
    }
    if not process.restarts.has_delay:
        values["notify_access"] = "main"
    if spec.health_ms:
        interval, timeout = spec.health_ms
        # A ping follows a check, and a check may take its whole time.
        values["watchdog_sec"] = _seconds(interval + 2 * timeout)
    return values


def _socket(process: PlannedProcess, stack: StackNames, name: str) -> Iterator[Unit]:
    activated = [listener for listener in process.listeners if listener.activated]
    listener = activated[process.socket_units.index(name)]
    holder = name.removesuffix(".socket") + "-hold.service"
    identity = stack.identity(process.app, process.name)
    target = stack.stack_target if process.alone else f"{stack.stack_target} {stack.app_target(process.app)}"
    socket: dict[str, Value] = {
        "description": Literal(f"{listener.kind} socket of {_description(process)}"),
        "source": stack.source,
        "part_of": target,
        "slice": process.slice,
        "listen_stream": f"%t/{listener.path}" if listener.path else Literal(listener.address),
        # Whoever may not call is refused by the process, which sees who it is.
        "socket_mode": "0666" if listener.path else None,
        "no_delay": None if listener.path else True,
        "file_descriptor_name": listener.kind,
        "service": holder,
        **identity,
    }
    hold: dict[str, Value] = {
        "description": Literal(f"holder of the {listener.kind} socket of {_description(process)}"),
        "source": stack.source,
        "part_of": name,
        "slice": process.slice,
        **identity,
    }
    yield Unit(name, "socket", socket, process.app, process.name)
    yield Unit(holder, "hold", hold, process.app, process.name)
