"""What the process host is told: the file that says all about one process of a bootstrap app."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omnitron import names
from omnitron.definition.app import Auth, ConfigSource, MetricsExport, Process, System, Tracing
from omnitron.definition.fields import Model
from omnitron.definition.loader import App, Ecosystem, absolute
from omnitron.definition.service_scan import find_module, services_in
from omnitron.planner.credentials import can_be_loaded
from omnitron.planner.resolve import health as checks
from omnitron.planner.spec_files import Told

VERSION = 1
JWT_CREDENTIAL = "jwt-key"
STATSD_MS, SHORTEST_STATSD_MS = 10_000, 100
"""Time between two packets: where nothing is said, and at least."""
"""Name under which systemd hands the key of tokens to a process."""


@dataclass(frozen=True)
class Hosted(Told):
    """A process that the process host runs."""

    exposes: bool
    """Whether its services are offered to the other processes of the stack."""
    health_ms: tuple[int, int] | None
    """Interval and timeout of its health checks, None where they are off."""
    jwt_key: Path | None
    """File with the key of tokens."""
    manager_reads_key: bool
    """Whether systemd hands the key on, so that the process's user need not be able to read the file."""


def folders_of(app: App) -> tuple[Path, ...]:
    """Return the folders in which an app's modules and functions are looked for."""
    bootstrap = [app.system_source.path.parent] if app.system_source else []
    return tuple(dict.fromkeys([*bootstrap, app.working_directory, app.folder]))


class Providers:
    """Who offers which service in a stack, as far as the text of the modules says it."""

    def __init__(self, ecosystem: Ecosystem, stack: str) -> None:
        """Look at every process that exposes something."""
        self._known: dict[str, tuple[App, Process]] = {}
        self._unclear: list[tuple[App, Process]] = []
        for app in ecosystem.apps_of(stack):
            for process in app.system.processes if app.system else []:
                if process.module and process.topology and process.topology.expose:
                    self._add(app, process)

    def _add(self, app: App, process: Process) -> None:
        folders = folders_of(app)
        path = find_module(process.module or "", folders)
        services = services_in(path, folders) if path else None
        if services is None:
            self._unclear.append((app, process))
        for service in services or ():
            self._known[service] = (app, process)

    def of(self, service: str) -> tuple[App, Process] | None:
        """Return who offers a service; one that is not known must be of the only process that does not say."""
        only = self._unclear[0] if len(self._unclear) == 1 else None
        return self._known.get(service, only)


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
) -> Hosted:
    """Return what the host is told of a process with a module; `secret` are variables that refer to secrets."""
    system = app.system
    assert system is not None and process.module is not None
    health = checks.resolve(process.health or app.entry.health, ecosystem.config.monitoring.health_check)
    chosen = _auth(system, process)
    auth = chosen if chosen and chosen.jwt and chosen.jwt.enabled else None
    key = absolute(ecosystem.folder, auth.jwt.key_file) if auth and auth.jwt and auth.jwt.key_file else None
    # systemd reads what it hands on as root: only root's own definitions may say what that is.
    manager_reads_key = key is not None and app.is_roots_own and can_be_loaded(key)
    exposes = bool(process.topology and process.topology.expose)
    spec = {
        "version": VERSION,
        "project": ecosystem.config.project,
        "stack": stack,
        "app": app.name,
        "process": process.name,
        "folder": str(app.working_directory),
        "folders": [str(folder) for folder in folders_of(app)],
        "module": process.module,
        "identifier": names.unit_stem(app.name, *([process.name] if len(system.processes) > 1 else [])),
        "appVersion": system.version,
        "hooks": {**_said(system.hooks), **_said(process.hooks)},
        "health": _said(health, "enabled", "interval", "timeout", "retries"),
        **_transports(process),
        "routes": [route.model_dump(by_alias=True) for route in process.custom_routes],
        "auth": _said(chosen, "manager", "rls", "invocationWrapper") or None,
        "jwt": _jwt(auth, None if manager_reads_key else key),
        "expose": exposes,
        "access": _access(ecosystem, stack, process),
        "callers": _callers(ecosystem, stack, app, process) if exposes else [],
        "sources": [_source(source, folders_of(app)[0]) for source in system.config.sources] if system.config else [],
        "envPrefix": system.config.env_prefix if system.config else None,
        "logLevel": log_level,
        "metrics": _metrics(system, process),
        "statsd": _statsd(system),
        "tracing": _tracing(system),
        "secrets": dict(secret) or None,
        "startupTimeout": startup_timeout,
        "stopTimeout": stop_timeout,
        "drain": system.shutdown.drain_connections,
    }
    rhythm = (health.interval, health.timeout) if health else (15_000, 5_000)
    off = health is not None and not health.enabled
    text = json.dumps({key: value for key, value in spec.items() if value is not None}, ensure_ascii=False, indent=1)
    return Hosted(text + "\n", exposes, None if off else rhythm, key, manager_reads_key)


def _said(model: Model | None, *keys: str) -> dict[str, Any]:
    """Return what was said of a part of a definition, all of it or some fields."""
    dumped = model.model_dump(by_alias=True, exclude_unset=True, exclude_none=True) if model else {}
    return {key: value for key, value in dumped.items() if not keys or key in keys}


def _transports(process: Process) -> Mapping[str, Any]:
    given = process.transports
    http = given.http.model_dump(by_alias=True, exclude_none=True) if given and given.http else None
    websocket = given.websocket if given else None
    ws: dict[str, Any] | None = None
    if websocket:
        ws = websocket.model_dump(by_alias=True, include={"host", "port", "path"})
        ws |= {f"ping{key.capitalize()}": value for key, value in _said(websocket.keep_alive).items()}
    for transport in (http, ws):
        if transport:
            transport.pop("socketActivation", None)
    return {"http": http, "websocket": ws}


def _auth(system: System, process: Process) -> Auth | None:
    """Return whom a process asks for a token: its own word, or the app's."""
    if process.auth is False:
        return None
    return process.auth or system.auth


def _jwt(auth: Auth | None, key: Path | None) -> dict[str, Any] | None:
    """Return how tokens are checked; `key` is for the process itself to read, else systemd hands it on."""
    if auth is None or auth.jwt is None:
        return None
    said = auth.jwt.model_dump(by_alias=True, exclude={"enabled", "key_file"}, exclude_none=True)
    return said | ({"keyFile": str(key)} if key else {"credential": JWT_CREDENTIAL})


def _access(ecosystem: Ecosystem, stack: str, process: Process) -> dict[str, str]:
    providers = Providers(ecosystem, stack)
    prefix = ecosystem.config.unit_prefix
    sockets = {}
    for name in process.topology.access if process.topology else []:
        if found := providers.of(name):
            sockets[name] = f"%t/{socket_path(prefix, stack, found[0].name, found[1].name)}"
    return sockets


def _callers(ecosystem: Ecosystem, stack: str, app: App, process: Process) -> list[str]:
    """Return the users of the processes that want a service of this one."""
    providers = Providers(ecosystem, stack)
    users = set()
    for caller in ecosystem.apps_of(stack):
        for one in caller.system.processes if caller.system else []:
            found = [providers.of(name) for name in (one.topology.access if one.topology else [])]
            if any(it and (it[0].name, it[1].name) == (app.name, process.name) for it in found):
                user = one.user or caller.entry.user or ecosystem.owner
                transient = names.transient_user(ecosystem.config.unit_prefix, stack, caller.name)
                users.add(transient if user == "dynamic" else user)
    return sorted(users - {"root"})


def _source(source: str | ConfigSource, folder: Path) -> dict[str, Any]:
    """Return a source of configuration; the path of a file starts where it is written, beside the bootstrap."""
    if isinstance(source, str):
        source = ConfigSource(type="env") if source == "env" else ConfigSource(type="file", path=source)
    said = source.model_dump(by_alias=True, exclude_none=True)
    return said | ({"path": str(absolute(folder, source.path))} if source.path else {})


def _metrics(system: System, process: Process) -> bool:
    own = process.observability.metrics if process.observability else None
    general = system.observability.metrics if system.observability else None
    return own if own is not None else general is not False


def _statsd(system: System) -> int | None:
    """Return how often metrics are sent, in milliseconds; None where they are only to be asked for."""
    said = system.observability.metrics if system.observability else None
    if not isinstance(said, MetricsExport) or said.export != "statsd":
        return None
    return max(said.interval or STATSD_MS, SHORTEST_STATSD_MS)


def _tracing(system: System) -> dict[str, Any] | None:
    """Return how calls are traced, None where they are not."""
    said = system.observability.tracing if system.observability else None
    if isinstance(said, Tracing):
        return said.model_dump(by_alias=True, exclude_none=True)
    return {} if said else None
