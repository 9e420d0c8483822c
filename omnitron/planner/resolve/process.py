"""Resolves every process of a stack: all levels of a definition merged into one flat value each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from omnitron import names
from omnitron.definition.app import Process
from omnitron.definition.ecosystem import Stack
from omnitron.definition.paths import absolute
from omnitron.definition.process import Defaults, Health, Limits, Paths, ProcessSettings, RawUnit, Scaling, Shutdown
from omnitron.definition.project import App, Ecosystem
from omnitron.planner.facts import HostFacts
from omnitron.planner.resolve import health
from omnitron.planner.resolve.development import in_development
from omnitron.planner.resolve.host_spec import HostRuntimeSpec, hosted, socket_path
from omnitron.planner.resolve.port_offsets import with_offset
from omnitron.planner.resolve.program import Program, command, host, script
from omnitron.planner.resolve.restarts import Restarts, resolve
from omnitron.planner.spec_files import RuntimeSpec, spec_name
from omnitron.secrets import references

Hardening = Literal["strict", "standard", "off"]
T = TypeVar("T")

SHORTEST_ROUND_MS = 100
"""Time between two rounds of probes from outside: each costs a process."""


def join_port(host: str, port: int) -> str:
    """Return `host:port`, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"


@dataclass(frozen=True)
class Listener:
    """An address that a process listens on."""

    kind: str
    """`http` or `websocket`."""
    host: str
    port: int
    activated: bool
    """True if systemd holds the socket."""
    path: str | None = None
    """Of a Unix socket, below systemd's `%t`."""

    @property
    def address(self) -> str:
        """Address that it listens on, as `host:port`."""
        return join_port(self.host, self.port)


@dataclass(frozen=True)
class Probe:
    """A readiness probe: `http`, `jsonrpc` or `tcp` with a target, or a command. Times in milliseconds."""

    kind: Literal["http", "jsonrpc", "tcp", "command"]
    argv: tuple[str, ...]
    """The one target, or the command."""
    timeout: int
    interval: int
    """Between two checks while the process runs."""
    retries: int
    """Failures in a row that are too many."""
    start_period: int = 0
    """After its start, in which failures do not count."""


@dataclass(frozen=True)
class ServerSpec(RuntimeSpec):
    """A server of the distribution's, which a helper of ours prepares and becomes."""

    setup: tuple[str, ...] | None
    """Command that runs once it answers, before other services start."""
    stop_signal: str | None
    """Signal that stops it, None for SIGTERM."""
    credentials: tuple[str, ...]
    """Secrets that it and its setup read."""
    reload: tuple[str, ...] | None = None
    """Command that reloads its configuration; None where only a restart does."""
    before_reload: tuple[str, ...] | None = None
    """Command that root runs before that."""
    files: tuple[tuple[str, Path], ...] = ()
    """Files that systemd passes to it as credentials, by name."""
    notifies: bool = True
    """True if it says itself when it runs."""
    asks: bool = False
    """True if its probe, too, must pass before anybody may use it."""


@dataclass(frozen=True)
class PlannedProcess:
    """One process of an app in one stack. Times in milliseconds, paths absolute."""

    prefix: str
    stack: str
    app: str
    name: str
    alone: bool
    """True if it is the only process of its app."""
    pool: int | None
    """Number of instances of a pool, None for a single process."""
    program: Program
    folder: Path
    """Working directory."""
    project: Path
    environment: tuple[tuple[str, str], ...]
    critical: bool
    restarts: Restarts
    startup_timeout: int
    stop_timeout: int
    stop_priority: int
    """Lower stops first."""
    probe: Probe | None
    listeners: tuple[Listener, ...]
    user: str | None
    group: str | None
    paths: Paths
    limits: Limits
    hardening: Hardening
    raw: RawUnit
    log_level: str
    scaling: Scaling | None
    hosted: HostRuntimeSpec | None
    """Specification for the process host; None for a program of its own."""
    native: ServerSpec | None = None
    """Specification of a server of the stack; None for an app's process."""

    @property
    def address(self) -> tuple[str, ...]:
        """Prefix, stack, app and name, as they stand in the names of units."""
        parts = names.app_parts(self.app) if self.native else (self.app, self.name)
        return self.prefix, self.stack, *parts

    def record(self, of_group: str | None) -> str | None:
        """Return the name of the crash record that it shares with its group, `of_group`; None for one of its own.

        A pool's instances and servers of the stack have their own: their crash restarts nobody else.
        """
        return None if self.pool is not None or self.native else of_group

    @property
    def spec(self) -> RuntimeSpec | None:
        """Specification for the program of omnitron that runs it, if one does."""
        return self.hosted or self.native

    @property
    def secrets(self) -> tuple[str, ...]:
        """Names of the secrets that it is given."""
        secret_names = [name for _, value in self.environment for name in references.names_in(value)]
        return tuple(dict.fromkeys([*(self.native.credentials if self.native else ()), *secret_names]))

    @property
    def stem(self) -> str:
        """Unit name without suffix."""
        return names.unit_stem(*self.address)

    @property
    def unit(self) -> str:
        """File name of its service, a template for a pool."""
        return f"{self.stem}{names.TEMPLATE_MARK}service" if self.pool else f"{self.stem}.service"

    @property
    def services(self) -> tuple[str, ...]:
        """Names of the services that run: one, or one per instance."""
        if self.pool is None:
            return (self.unit,)
        return tuple(names.instance_name(self.unit, number) for number in range(1, self.pool + 1))

    @property
    def slice(self) -> str:
        """The slice that its cgroup lies in."""
        parts = (self.prefix, self.stack) if self.alone else (self.prefix, self.stack, self.app)
        return f"{names.unit_stem(*parts)}.slice"

    @property
    def socket_units(self) -> tuple[str, ...]:
        """Names of the sockets that systemd holds for it; more than one needs telling apart."""
        activated = [listener for listener in self.listeners if listener.activated]
        if len(activated) == 1:
            return (f"{self.stem}.socket",)
        return tuple(f"{self.stem}-{listener.kind}.socket" for listener in activated)


def of_app(
    ecosystem: Ecosystem, stack_name: str, app: App, facts: HostFacts, infra: Mapping[str, str]
) -> tuple[PlannedProcess, ...]:
    """Return the processes of `app` in a stack; `infra` are the variables that tell it of its services."""
    app = in_development(app) if facts.development else app
    offsets = ecosystem.config.stacks[stack_name].settings.port_offsets
    app = with_offset(app, offsets.apps if offsets else 0)
    sources = list(_settings(app, facts))
    return tuple(
        _process(ecosystem, stack_name, app, name, settings, program, facts, infra, alone=len(sources) == 1)
        for name, settings, program in sources
    )


def _settings(app: App, facts: HostFacts) -> Iterator[tuple[str, Process | None, Program | None]]:
    """Yield the name of each process, what is said of it, and what it runs: None for a module."""
    entry, project = app.entry, app.source.path.parent
    if entry.script:
        yield (
            names.SINGLE_PROCESS,
            None,
            script(absolute(app.folder, entry.script), app.folder, project, facts),
        )
    if entry.command:
        yield names.SINGLE_PROCESS, None, command(entry.command, app.folder)
    for process in app.system.processes if app.system else []:
        program = command(process.command, app.working_directory) if process.command else None
        yield process.name, process, program


def _process(
    ecosystem: Ecosystem,
    stack_name: str,
    app: App,
    name: str,
    own: Process | None,
    program: Program | None,
    facts: HostFacts,
    infra: Mapping[str, str],
    *,
    alone: bool,
) -> PlannedProcess:
    entry, stack = app.entry, ecosystem.config.stacks[stack_name]
    settings: ProcessSettings = own or entry
    levels: list[ProcessSettings] = [entry] if own is None else [own, entry]
    user, group = _account(ecosystem, levels)
    settings_level = app.system if app.system and "shutdown" in app.system.model_fields_set else entry
    shutdown = settings_level.shutdown or Shutdown()
    startup_timeout = _first_set(levels, "startup_timeout", 30_000)
    checks = health.resolve(_first(levels, "health", None), ecosystem.config.monitoring.health_check)
    log_level = _log_level(ecosystem, stack, app, own)
    environment = _environment(ecosystem, stack_name, stack, app, own, program, infra)
    spec: HostRuntimeSpec | None = None
    if own and program is None:
        secret = {variable: value for variable, value in environment if references.OPENING in value}
        spec = hosted(ecosystem, stack_name, app, own, log_level, startup_timeout, shutdown.timeout, secret, facts)
        stem = names.unit_stem(ecosystem.config.unit_prefix, stack_name)
        path = facts.specs / spec_name(stem, app.name, name, spec)
        program = host(str(path), app.working_directory, ecosystem.folder, facts)
    assert program is not None
    critical = any(level.critical for level in levels)
    policies = [level.restart_policy for level in reversed(levels)]
    return PlannedProcess(
        prefix=ecosystem.config.unit_prefix,
        stack=stack_name,
        app=app.name,
        name=name,
        alone=alone,
        pool=_pool(app, own, alone),
        program=program,
        folder=app.working_directory,
        project=ecosystem.folder,
        environment=environment,
        critical=critical,
        restarts=replace(resolve(ecosystem.config.supervision, policies), critical=critical),
        startup_timeout=startup_timeout,
        stop_timeout=shutdown.timeout,
        stop_priority=shutdown.priority,
        probe=_probe(checks, settings),
        listeners=(*_listeners(settings, hosted=spec is not None), *_exposed(ecosystem, stack_name, app, name, spec)),
        user=user,
        group=group,
        paths=_first(levels, "paths", None) or Paths(),
        limits=_limits([*levels, ecosystem.config.defaults]),
        hardening=_first([*levels, ecosystem.config.defaults], "hardening", "strict"),
        raw=_first(levels, "systemd", None) or RawUnit(),
        log_level=log_level,
        scaling=own.scaling if own else None,
        hosted=spec,
    )


def _first(levels: Sequence[ProcessSettings | Defaults], key: str, default: Any) -> Any:
    """Return the value of the innermost level that has one."""
    return next((getattr(level, key) for level in levels if getattr(level, key) is not None), default)


def _first_set(levels: list[ProcessSettings], key: str, default: T) -> T:
    """Return the value of the innermost level that was given one."""
    return next((getattr(level, key) for level in levels if key in level.model_fields_set), default)


def _limits(levels: Sequence[ProcessSettings | Defaults]) -> Limits:
    """Return the limits, each of the innermost level that has it."""
    merged: dict[str, Any] = {}
    for level in levels:
        merged = {**(level.limits.model_dump(exclude_none=True) if level.limits else {}), **merged}
    return Limits.model_construct(**merged)


def _account(ecosystem: Ecosystem, levels: list[ProcessSettings]) -> tuple[str | None, str | None]:
    user = _first([*levels, ecosystem.config.defaults], "user", None)
    if user is None and not ecosystem.owner_is_root:
        user = ecosystem.owner
    return user, _first(levels, "group", None)


def _pool(app: App, own: Process | None, alone: bool) -> int | None:
    """Return the number of instances of a pool. An entry's count overrides what the system says of pools."""
    declared = own.instances if own else None
    is_pool = (declared or 1) > 1 or bool(own and own.scaling)
    count = app.entry.instances if app.entry.instances and (alone or is_pool) else declared
    return (count or 1) if (count or 1) > 1 or is_pool else None


def _environment(
    ecosystem: Ecosystem,
    stack_name: str,
    stack: Stack,
    app: App,
    own: Process | None,
    program: Program | None,
    infra: Mapping[str, str],
) -> tuple[tuple[str, str], ...]:
    merged = dict(program.environment if program else ())
    for level in (
        own.env if own else {},
        app.system.env if app.system else {},
        app.entry.env,
        infra,
        stack.settings.env,
    ):
        merged.update(level)
    merged.update(
        OMNITRON_PROJECT=ecosystem.config.project,
        OMNITRON_STACK=stack_name,
        OMNITRON_STACK_TYPE=stack.type,
        OMNITRON_APP_NAME=app.name,
    )
    return tuple(merged.items())


def _exposed(ecosystem: Ecosystem, stack: str, app: App, name: str, spec: HostRuntimeSpec | None) -> Iterator[Listener]:
    if spec and spec.exposes:
        path = socket_path(ecosystem.config.unit_prefix, stack, app.name, name)
        yield Listener("rpc", "", 0, True, path)


def _listeners(settings: ProcessSettings, *, hosted: bool = False) -> Iterator[Listener]:
    transports = settings.transports
    for kind in ("http", "websocket"):
        listener = getattr(transports, kind) if transports else None
        if listener:
            # Held by systemd, a socket outlives the process: no connection is refused while it restarts.
            activated = listener.socket_activation is not False if hosted else bool(listener.socket_activation)
            yield Listener(kind, listener.host, listener.port, activated)


def _probe(checks: Health | None, settings: ProcessSettings) -> Probe | None:
    probe = checks.probe if checks and checks.enabled else None
    if probe is None or checks is None:
        return None
    rules = checks.timeout, max(checks.interval, SHORTEST_ROUND_MS), checks.retries, checks.start_period
    if probe.type == "command":
        return Probe("command", tuple(probe.command or ()), *rules)
    target = probe.target or ("/" if probe.type == "http" else "")
    if not target or target.startswith("/"):
        own = next(_listeners(settings))
        host_port = join_port({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(own.host, own.host), own.port)
        target = f"http://{host_port}{target}" if probe.type == "http" else host_port
    return Probe(probe.type, (target,), *rules)


def _log_level(ecosystem: Ecosystem, stack: Stack, app: App, own: Process | None) -> str:
    levels = [
        own.observability.logging.level if own and own.observability and own.observability.logging else None,
        app.system.observability.logging.level
        if app.system and app.system.observability and app.system.observability.logging
        else None,
        stack.settings.log_level,
    ]
    return next((level for level in levels if level), ecosystem.config.logging.level)
