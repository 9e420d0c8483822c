"""Compiles the spec of a process that the process host runs: all that it has to know of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omnitron import names
from omnitron.definition import app as definition
from omnitron.definition.app import ConfigSource, MetricsExport, Process, System
from omnitron.definition.fields import Model
from omnitron.definition.paths import absolute
from omnitron.definition.project import App, Ecosystem
from omnitron.planner.credentials import can_be_loaded
from omnitron.planner.facts import HostFacts, Module
from omnitron.planner.resolve import health
from omnitron.planner.spec_files import RuntimeSpec
from omnitron.policy.host_spec import Auth, Health, Hooks, HostSpec, Http, Jwt, Route, Source, Tracing, WebSocket

JWT_CREDENTIAL = "jwt-key"
STATSD_MS, SHORTEST_STATSD_MS = 10_000, 100
"""Time between two packets: where nothing is said, and at least."""
"""Name under which systemd hands the key of tokens to a process."""


@dataclass(frozen=True)
class HostRuntimeSpec(RuntimeSpec):
    """A process that the process host runs."""

    document: HostSpec
    exposes: bool
    """True if its services are offered to the other processes of the stack."""
    health_ms: tuple[int, int] | None
    """Interval and timeout of its health checks, None where they are off."""
    jwt_key: Path | None
    """File with the key of tokens."""
    manager_reads_key: bool
    """True if systemd hands the key on, so that the process's user need not be able to read the file."""


def folders_of(app: App) -> tuple[Path, ...]:
    """Return the folders in which an app's modules and functions are looked for."""
    bootstrap = [app.system_source.path.parent] if app.system_source else []
    return tuple(dict.fromkeys([*bootstrap, app.working_directory, app.folder]))


def exposing(ecosystem: Ecosystem, stack: str) -> Iterator[tuple[App, Process, Module]]:
    """Yield the processes of a stack that offer services to the others, and the module of each."""
    for app in ecosystem.apps_of(stack):
        for process in app.system.processes if app.system else []:
            if process.module and process.topology and process.topology.expose:
                yield app, process, (process.module, folders_of(app))


class Providers:
    """The processes that offer services in a stack, as far as the text of the modules shows."""

    def __init__(self, ecosystem: Ecosystem, stack: str, facts: HostFacts) -> None:
        """Look at every process that exposes something."""
        self._modules = facts.modules
        self._providers: dict[str, tuple[App, Process]] = {}
        self._unclear: list[tuple[App, Process]] = []
        for app, process, module in exposing(ecosystem, stack):
            self._add(app, process, module)

    def _add(self, app: App, process: Process, module: Module) -> None:
        services = self._modules.get(module)
        if services is None:
            self._unclear.append((app, process))
        for service in services or ():
            self._providers[service] = (app, process)

    def of(self, service: str) -> tuple[App, Process] | None:
        """Return who offers a service; one that is not known must be of the only process that does not say."""
        only = self._unclear[0] if len(self._unclear) == 1 else None
        return self._providers.get(service, only)


def runtime_folder(prefix: str, stack: str, *process: str) -> str:
    """Return the folder with a process's own socket, below systemd's `%t`; an instance's has `@N` after it."""
    return "/".join((*map(names.unit_part, (prefix, stack)), names.unit_stem(*process)))


def socket_path(prefix: str, stack: str, app: str, process: str) -> str:
    """Return the path of an exposed socket, below systemd's `%t`."""
    return "/".join((*map(names.unit_part, (prefix, stack)), names.unit_stem(app, process) + ".sock"))


def hosted(
    ecosystem: Ecosystem,
    stack: str,
    app: App,
    process: Process,
    log_level: str,
    startup_timeout: int,
    stop_timeout: int,
    secret: Mapping[str, str],
    facts: HostFacts,
) -> HostRuntimeSpec:
    """Return the spec of a process with a module; `secret` are variables that refer to secrets."""
    system = app.system
    assert system is not None and process.module is not None
    checks = health.resolve(process.health or app.entry.health, ecosystem.config.monitoring.health_check)
    chosen = _auth(system, process)
    auth = chosen if chosen and chosen.jwt and chosen.jwt.enabled else None
    key = key_file(ecosystem, system, process)
    # The system's manager reads it as root, so that the process need not be able to.
    manager_reads_key = key is not None and not facts.is_user and can_be_loaded(key)
    exposes = bool(process.topology and process.topology.expose)
    spec = HostSpec(
        project=ecosystem.config.project,
        stack=stack,
        app=app.name,
        process=process.name,
        folder=str(app.working_directory),
        folders=tuple(str(folder) for folder in folders_of(app)),
        module=process.module,
        identifier=names.unit_stem(app.name, *([process.name] if len(system.processes) > 1 else [])),
        app_version=system.version,
        hooks=Hooks(**{**_set(system.hooks), **_set(process.hooks)}),
        health=Health(**_set(checks, "enabled", "interval", "timeout", "retries", "start_period")),
        http=_http(process),
        websocket=_websocket(process),
        routes=tuple(Route(route.method, route.pattern, route.handler) for route in process.custom_routes),
        auth=Auth(**_set(chosen, "manager", "rls", "invocation_wrapper")),
        jwt=_jwt(auth, None if manager_reads_key else key),
        expose=exposes,
        access=_access(ecosystem, stack, process, facts),
        callers=_callers(ecosystem, stack, app, process, facts) if exposes else (),
        sources=tuple(_source(source, folders_of(app)[0]) for source in system.config.sources) if system.config else (),
        env_prefix=system.config.env_prefix if system.config else None,
        log_level=log_level,
        metrics=_metrics(system, process),
        statsd=_statsd(system),
        tracing=_tracing(system),
        secrets=dict(secret),
        startup_timeout=startup_timeout,
        stop_timeout=stop_timeout,
        drain=system.shutdown.drain_connections,
    )
    rhythm = (checks.interval, checks.timeout) if checks else (15_000, 5_000)
    off = checks is not None and not checks.enabled
    return HostRuntimeSpec(spec, exposes, None if off else rhythm, key, manager_reads_key)


def _set(model: Model | None, *names: str) -> dict[str, Any]:
    """Return the fields that a part of a definition sets, all or some of them."""
    return model.model_dump(exclude_unset=True, exclude_none=True, include=set(names) or None) if model else {}


def _http(process: Process) -> Http | None:
    http = process.transports.http if process.transports else None
    return Http(**http.model_dump(exclude={"socket_activation"}, exclude_none=True)) if http else None


def _websocket(process: Process) -> WebSocket | None:
    websocket = process.transports.websocket if process.transports else None
    if websocket is None:
        return None
    pings = {f"ping_{name}": value for name, value in _set(websocket.keep_alive).items()}
    return WebSocket(websocket.host, websocket.port, websocket.path, **pings)


def key_file(ecosystem: Ecosystem, system: System, process: Process) -> Path | None:
    """Return the file with the key that tokens for a process are checked with; None without one."""
    auth = _auth(system, process)
    jwt = auth.jwt if auth else None
    return absolute(ecosystem.folder, jwt.key_file) if jwt and jwt.enabled and jwt.key_file else None


def _auth(system: System, process: Process) -> definition.Auth | None:
    """Return whom a process asks for a token: its own word, or the app's."""
    if process.auth is False:
        return None
    return process.auth or system.auth


def _jwt(auth: definition.Auth | None, key: Path | None) -> Jwt | None:
    """Return how tokens are checked; `key` is for the process itself to read, else systemd hands it on."""
    if auth is None or auth.jwt is None:
        return None
    rules = auth.jwt.model_dump(exclude={"enabled", "key_file"}, exclude_none=True)
    return Jwt(**rules, key_file=str(key) if key else None, credential=None if key else JWT_CREDENTIAL)


def _access(ecosystem: Ecosystem, stack: str, process: Process, facts: HostFacts) -> dict[str, str]:
    providers = Providers(ecosystem, stack, facts)
    prefix = ecosystem.config.unit_prefix
    sockets = {}
    for name in process.topology.access if process.topology else []:
        if provider := providers.of(name):
            sockets[name] = f"%t/{socket_path(prefix, stack, provider[0].name, provider[1].name)}"
    return sockets


def _callers(ecosystem: Ecosystem, stack: str, app: App, process: Process, facts: HostFacts) -> tuple[str, ...]:
    """Return the users of the processes that want a service of this one."""
    providers = Providers(ecosystem, stack, facts)
    users = set()
    for caller in ecosystem.apps_of(stack):
        for item in caller.system.processes if caller.system else []:
            provider = [providers.of(name) for name in (item.topology.access if item.topology else [])]
            if any(it and (it[0].name, it[1].name) == (app.name, process.name) for it in provider):
                user = item.user or caller.entry.user or ecosystem.config.defaults.user or ecosystem.owner
                transient = names.transient_user(ecosystem.config.unit_prefix, stack, caller.name)
                users.add(transient if user == "dynamic" else user)
    return tuple(sorted(users - {"root"}))


def _source(source: str | ConfigSource, folder: Path) -> Source:
    """Return a source of configuration; the path of a file starts where it is written, beside the bootstrap."""
    if isinstance(source, str):
        source = ConfigSource(type="env") if source == "env" else ConfigSource(type="file", path=source)
    path = str(absolute(folder, source.path)) if source.path else None
    return Source(source.type, path, source.prefix, source.optional)


def _metrics(system: System, process: Process) -> bool:
    own = process.observability.metrics if process.observability else None
    general = system.observability.metrics if system.observability else None
    return own if own is not None else general is not False


def _statsd(system: System) -> int | None:
    """Return how often metrics are sent, in milliseconds; None where they are only to be asked for."""
    settings = system.observability.metrics if system.observability else None
    if not isinstance(settings, MetricsExport) or settings.export != "statsd":
        return None
    return max(settings.interval or STATSD_MS, SHORTEST_STATSD_MS)


def _tracing(system: System) -> Tracing | None:
    """Return how calls are traced, None where they are not."""
    settings = system.observability.tracing if system.observability else None
    if isinstance(settings, definition.Tracing):
        return Tracing(settings.sampler, settings.propagator)
    return Tracing() if settings else None
