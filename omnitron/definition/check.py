"""The second look at a definition: what can only be judged when all of it has been read."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path

from omnitron import names
from omnitron.definition import topology
from omnitron.definition.app import Auth
from omnitron.definition.directives import check_raw_unit
from omnitron.definition.ecosystem import AppEntry, Stack
from omnitron.definition.paths import absolute, is_file, is_folder
from omnitron.definition.problems import near
from omnitron.definition.process import HealthProbe, ProcessSettings
from omnitron.definition.project import App, Ecosystem
from omnitron.definition.source import KeyPath, Source
from omnitron.errors import Problem

INTERPRETED = (".py", ".js", ".mjs", ".cjs", ".ts", ".mts")
"""Scripts that are given to their interpreter, and need not be executable."""


def check(ecosystem: Ecosystem) -> list[Problem]:
    """Return every problem between the parts of `ecosystem`."""
    source = ecosystem.source
    entries = [app.entry for app in ecosystem.apps]
    return [
        *_names(source, "apps", [entry.name for entry in entries]),
        *_reserved(source, entries),
        *_depends_on(source, entries, _services(ecosystem)),
        *_stacks(ecosystem, source),
        *(problem for app in ecosystem.apps for problem in _app(app)),
        *_ports(ecosystem),
        *_prometheus(ecosystem),
        *topology.problems(ecosystem),
    ]


def _names(source: Source, key: str, names_seen: list[str]) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for index, name in enumerate(names_seen):
        unit = names.unit_part(name)
        other = seen.setdefault(unit, name) if unit in seen else None
        seen[unit] = name
        if other == name:
            yield source.problem((key, index, "name"), f"cannot use the name {name!r}: it is there twice")
        elif other is not None:
            message = f"cannot use the name {name!r}: its units would have the same names as those of {other!r}"
            yield source.problem((key, index, "name"), message)


def _reserved(source: Source, entries: list[AppEntry]) -> Iterator[Problem]:
    for index, entry in enumerate(entries):
        if entry.name in names.RESERVED_APPS or entry.name.startswith(names.INFRA_PREFIX):
            message = f"cannot use the name {entry.name!r}: it is reserved for units of omnitron's own"
            yield source.problem(("apps", index, "name"), message)


def _services(ecosystem: Ecosystem) -> set[str]:
    declared = ecosystem.config.infrastructure
    shared = {*declared.services, *declared.containers} if declared else set()
    return {"postgres", "redis", "minio", *shared}


def _depends_on(source: Source, entries: list[AppEntry], services: Collection[str]) -> Iterator[Problem]:
    apps_by_name = {entry.name: entry.depends_on for entry in entries}
    cure = "it is a service: an app waits for those that it needs, as its config/default.json says"
    for index, entry in enumerate(entries):
        for position, name in enumerate(entry.depends_on):
            if name not in apps_by_name:
                message = f"cannot depend on {name!r}: there is no such app"
                hint = cure if name in services else near(name, apps_by_name)
                yield source.problem(("apps", index, "dependsOn", position), message, hint)
    loop = find_cycle(apps_by_name)
    if loop:
        index = next(i for i, entry in enumerate(entries) if entry.name == loop[0])
        message = f"cannot order the apps: {' → '.join([*loop, loop[0]])} is a loop"
        yield source.problem(("apps", index, "dependsOn"), message)


def find_cycle(graph: dict[str, list[str]]) -> list[str]:
    """Return the names along one loop of `graph` (name -> names it needs), or an empty list."""
    done: set[str] = set()
    for start in graph:
        path: list[str] = []
        stack = [iter([start])]
        while stack:
            name = next(stack[-1], None)
            if name is None:
                stack.pop()
                if path:
                    done.add(path.pop())
            elif name in path:
                return path[path.index(name) :]
            elif name in graph and name not in done:
                path.append(name)
                stack.append(iter(graph[name]))
    return []


def _stacks(ecosystem: Ecosystem, source: Source) -> Iterator[Problem]:
    apps_by_name = ecosystem.by_name
    units: dict[str, str] = {}
    for name, stack in ecosystem.config.stacks.items():
        at: KeyPath = ("stacks", name)
        other = units.setdefault(names.unit_part(name), name)
        if other != name:
            yield source.problem(at, f"cannot use the name {name!r}: its units would be those of {other!r}")
        if stack.apps != "all":
            yield from _chosen(ecosystem, source, name, stack, apps_by_name)
        if stack.type == "remote" and len(stack.nodes) != 1:
            yield source.problem(at, "cannot be remote: a remote stack has exactly one node")
        if stack.type == "cluster" and len(stack.nodes) < 2:
            yield source.problem(at, "cannot be a cluster: it has fewer than two nodes")
        if stack.port_range and stack.port_range.end < stack.port_range.start:
            yield source.problem((*at, "portRange"), "cannot give out ports: the end is below the start")


def _chosen(
    ecosystem: Ecosystem, source: Source, name: str, stack: Stack, apps_by_name: dict[str, App]
) -> Iterator[Problem]:
    for index, app in enumerate(stack.apps):
        at: KeyPath = ("stacks", name, "apps", index)
        if app not in apps_by_name:
            yield source.problem(at, f"cannot run {app!r}: there is no such app", near(app, apps_by_name))
            continue
        for needed in apps_by_name[app].entry.depends_on:
            if needed in apps_by_name and needed not in stack.apps:
                yield source.problem(at, f"cannot run {app!r} without {needed!r}: it depends on it")


def _app(app: App) -> Iterator[Problem]:
    entry, source = app.entry, app.source
    at: KeyPath = ("apps", app.index)
    kinds = [kind for kind in ("bootstrap", "script", "command") if getattr(entry, kind)]
    if len(kinds) > 1:
        yield source.problem((*at, kinds[1]), f"cannot have both {kinds[0]} and {kinds[1]}: pick one")
    if not kinds:
        yield source.problem(at, "cannot start: give one of bootstrap, script and command")
    if entry.script:
        yield from _script(source, (*at, "script"), absolute(app.folder, entry.script))
    if not is_folder(app.folder):
        yield source.problem((*at, "cwd"), f"cannot start in {app.folder}: there is no such folder")
    yield from _settings(source, at, entry)
    if app.system and app.system_source:
        yield from _names(app.system_source, "processes", [p.name for p in app.system.processes])
        for index, process in enumerate(app.system.processes):
            inner: KeyPath = ("processes", index)
            if process.module and process.command:
                message = "cannot have both module and command: pick one"
                yield app.system_source.problem((*inner, "command"), message)
            yield from _settings(app.system_source, inner, process)
            if process.module and process.auth:
                yield from _key(app.system_source, (*inner, "auth"), process.auth, app.source.path.parent)
        if app.system.auth and any(p.module and p.auth is None for p in app.system.processes):
            yield from _key(app.system_source, ("auth",), app.system.auth, app.source.path.parent)


def _key(source: Source, at: KeyPath, auth: Auth, project: Path) -> Iterator[Problem]:
    """Yield what is wrong with the key that tokens are checked with."""
    if not auth.jwt or not auth.jwt.enabled:
        return
    if not auth.jwt.key_file:
        yield source.problem((*at, "jwt"), "cannot check tokens: there is no key", "give keyFile")
    elif not is_file(path := absolute(project, auth.jwt.key_file)):
        yield source.problem((*at, "jwt", "keyFile"), f"cannot find the file {path}")


def _script(source: Source, at: KeyPath, path: Path) -> Iterator[Problem]:
    if not is_file(path):
        yield source.problem(at, f"cannot find the file {path}")
    elif path.suffix not in INTERPRETED and not path.stat().st_mode & 0o111:
        yield source.problem(at, f"cannot execute {path}: it is not executable", f"chmod +x {path}")


def _settings(source: Source, at: KeyPath, settings: ProcessSettings) -> Iterator[Problem]:
    if settings.systemd:
        for path, message in check_raw_unit(settings.systemd):
            yield source.problem((*at, "systemd", *path), message)
    if settings.health and settings.health.probe:
        lacking = _probe(settings.health.probe, settings)
        if lacking:
            yield source.problem((*at, "health", "probe"), lacking)
    yield from _activated_sockets(source, at, settings)
    for index, writable in enumerate(settings.paths.write if settings.paths else []):
        if not writable.isprintable():
            yield source.problem((*at, "paths", "write", index), f"cannot use {writable!r} as a path")
    for key in ("user", "group"):
        account = getattr(settings, key)
        if account is not None and names.why_not_a_name(account):
            yield source.problem((*at, key), f"{account!r} is not the name of a {key}")


def _activated_sockets(source: Source, at: KeyPath, settings: ProcessSettings) -> Iterator[Problem]:
    """Check the sockets that systemd shall hold; it knows addresses only, and each can be had once."""
    seen: set[tuple[str, int]] = set()
    for kind in ("http", "websocket"):
        transport = getattr(settings.transports, kind, None)
        if not transport or not transport.socket_activation:
            continue
        if not _is_address(transport.host):
            message = f"cannot let systemd listen on {transport.host!r}: it must be an IP address"
            yield source.problem((*at, "transports", kind, "host"), message)
        if (transport.host, transport.port) in seen:
            message = f"cannot let systemd listen on {transport.port} twice"
            yield source.problem((*at, "transports", kind, "port"), message)
        seen.add((transport.host, transport.port))


def _is_address(host: str) -> bool:
    try:
        return bool(ipaddress.ip_address(host.removeprefix("[").removesuffix("]")))
    except ValueError:
        return False


def _probe(probe: HealthProbe, settings: ProcessSettings) -> str | None:
    """Say what a probe lacks."""
    transports = settings.transports
    own_port = transports.http or transports.websocket if transports else None
    if probe.type == "command":
        return None if probe.command else "cannot probe: type command needs a command"
    if probe.command:
        return f"cannot use command with type {probe.type}"
    if probe.type == "http" and (probe.target or "").startswith("http://"):
        return None
    if probe.type == "http" and (probe.target or "/").startswith("/"):
        return None if own_port else "cannot probe a path: the process declares no transport with a port"
    if probe.type == "http":
        return f"cannot probe {probe.target!r}: it is neither an http:// URL nor a path"
    if probe.target is None:
        return None if own_port else "cannot probe: give a target, or a transport with a port"
    host, _, port = probe.target.rpartition(":")
    if probe.target.startswith("unix:/") or (host and port.isdigit() and 1 <= int(port) <= 65535):
        return None
    return f"cannot probe {probe.target!r}: it must be host:port or unix:/path"


def _ports(ecosystem: Ecosystem) -> Iterator[Problem]:
    """Two processes cannot listen on one port; apps that share no stack may."""
    listeners: dict[int, list[tuple[str, str, frozenset[str]]]] = defaultdict(list)
    running = {stack: {app.name for app in ecosystem.apps_of(stack)} for stack in ecosystem.config.stacks}
    for app in ecosystem.apps:
        stacks = frozenset(name for name, members in running.items() if app.name in members)
        for source, at, name, settings in _processes(app):
            for kind, port, host in _listeners(settings):
                where = f"{app.name}:{name}"
                for other, other_host, other_stacks in listeners[port]:
                    clash = host == other_host or "0.0.0.0" in (host, other_host) or "::" in (host, other_host)
                    if other != where and stacks & other_stacks and clash:
                        message = f"cannot listen on {port}: {other} does in the same stack"
                        yield source.problem((*at, "transports", kind, "port"), message)
                        break
                listeners[port].append((where, host, stacks))


def _prometheus(ecosystem: Ecosystem) -> Iterator[Problem]:
    """Yield what is wrong with the port for Prometheus."""
    endpoint = ecosystem.config.monitoring.metrics.prometheus
    if endpoint is None:
        return
    at = ("monitoring", "metrics", "prometheus")
    if not _is_address(endpoint.host):
        message = f"cannot listen on {endpoint.host!r}: it must be an IP address"
        yield ecosystem.source.problem((*at, "host"), message)
    if not is_file(path := absolute(ecosystem.folder, endpoint.token_file)):
        hint = f"make one: (umask 077; openssl rand -hex 32 >{path})"
        yield ecosystem.source.problem((*at, "tokenFile"), f"cannot find the file {path}", hint)
    for app in ecosystem.apps:
        for _, _, name, settings in _processes(app):
            if any(port == endpoint.port for _, port, _ in _listeners(settings)):
                message = f"cannot listen on {endpoint.port}: {app.name}:{name} does"
                yield ecosystem.source.problem((*at, "port"), message)


def _processes(app: App) -> Iterator[tuple[Source, KeyPath, str, ProcessSettings]]:
    yield app.source, ("apps", app.index), names.SINGLE_PROCESS, app.entry
    if app.system and app.system_source:
        for index, process in enumerate(app.system.processes):
            yield app.system_source, ("processes", index), process.name, process


def _listeners(settings: ProcessSettings) -> Iterator[tuple[str, int, str]]:
    if settings.transports and settings.transports.http:
        yield "http", settings.transports.http.port, settings.transports.http.host
    if settings.transports and settings.transports.websocket:
        yield "websocket", settings.transports.websocket.port, settings.transports.websocket.host
