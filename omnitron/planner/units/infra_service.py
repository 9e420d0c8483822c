"""The services of a stack as processes like any other: the distribution's server, prepared and run by systemd."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from omnitron import names
from omnitron.definition.check import find_cycle
from omnitron.definition.process import Limits, Paths
from omnitron.definition.project import Ecosystem, is_roots_own
from omnitron.definition.source import Source
from omnitron.errors import Problem
from omnitron.infra import server_settings
from omnitron.infra.placement import Placed
from omnitron.infra.resolve import GivenOut, Infra, resolve
from omnitron.planner.facts import HostFacts, ServerSettings
from omnitron.planner.resolve.process import Listener, PlannedProcess, ServerSpec
from omnitron.planner.resolve.program import Program
from omnitron.planner.spec_files import spec_name
from omnitron.planner.units import container
from omnitron.planner.units.names import StackNames
from omnitron.planner.units.server import server
from omnitron.planner.units.stack import gate_of
from omnitron.planner.units.values import Command, Unit
from omnitron.policy.server_specs import PostgresSpec, RedisSpec

ACCOUNTS = {"postgres": "postgres", "redis": "redis"}
"""The users that the distribution's packages make."""
STOP_SIGNALS = {"postgres": "SIGINT"}
"""Signals for a quick and clean end where SIGTERM waits for every client to leave."""
STOP_TIMEOUT_MS = 60_000
HOST_UNIT = re.compile(r"[A-Za-z0-9:_.@-]+\.service")


def infra_of(ecosystem: Ecosystem, stack: str, facts: HostFacts) -> Infra:
    """Return the infrastructure of a stack on a host: what it was assigned before, it keeps."""
    known, stem = facts.taken, names.unit_stem(ecosystem.config.unit_prefix, stack)
    before = GivenOut(known.ports.get(stem, {}), known.numbers.get(stem, {}), known.providers.get(stem, {}))
    return resolve(ecosystem, stack, facts.programs, before)


def processes(
    ecosystem: Ecosystem, stack: str, infra: Infra, facts: HostFacts
) -> Iterator[tuple[str, tuple[PlannedProcess, ...]]]:
    """Yield the app and the process that each of our own servers is."""
    for placed in infra.services:
        if placed.provider.name == "native":
            yield names.INFRA_PREFIX + placed.name, (_process(ecosystem, stack, infra, placed, facts),)
        elif placed.provider.name == "docker":
            yield names.INFRA_PREFIX + placed.name, (container.process(ecosystem, stack, infra, placed, facts),)


def _process(ecosystem: Ecosystem, stack: str, infra: Infra, placed: Placed, facts: HostFacts) -> PlannedProcess:
    kind, requirement = placed.service.kind, placed.service.requirement
    app = names.INFRA_PREFIX + placed.name
    helper = container.native_helper(placed, facts)
    document = _postgres(infra, placed) if kind == "postgres" else _redis(infra, placed)
    spec = ServerSpec(document, None, STOP_SIGNALS.get(kind), _credentials(document))
    stem = names.unit_stem(ecosystem.config.unit_prefix, stack)
    path = str(facts.specs / spec_name(stem, app, names.SINGLE_PROCESS, spec))
    bare_metal = requirement.bare_metal
    if kind == "postgres":
        spec = replace(spec, setup=(*helper, "provision", path))
    return server(
        ecosystem,
        stack,
        app,
        Program((*helper, "run", path)),
        spec,
        probe=container.probe_of_preset(placed, facts),
        listeners=(Listener("tcp", placed.host, placed.port, activated=False),),
        user=(bare_metal.user if bare_metal else None) or ACCOUNTS[kind],
        startup_timeout=requirement.startup_timeout,
        stop_timeout=STOP_TIMEOUT_MS,
        paths=Paths(state=True),
        limits=_limits(placed),
    )


def _limits(placed: Placed) -> Limits:
    resources = placed.service.requirement.resources
    if resources is None:
        return Limits()
    cpus = f"{round(float(resources.cpus) * 100)}%" if resources.cpus else None
    return Limits(memory_max=resources.memory, cpu_quota=cpus)


def _postgres(infra: Infra, placed: Placed) -> PostgresSpec:
    return PostgresSpec(
        address=placed.host,
        port=placed.port,
        config=server_settings.settings_of(placed.service),
        databases=infra.databases[placed.name],
    )


def _redis(infra: Infra, placed: Placed) -> RedisSpec:
    return RedisSpec(
        address=placed.host,
        port=placed.port,
        config=server_settings.settings_of(placed.service),
        databases=infra.redis_databases[placed.name],
        credential=infra.passwords.get(placed.name),
    )


def _credentials(spec: PostgresSpec | RedisSpec) -> tuple[str, ...]:
    """Return the secrets that a server reads."""
    if isinstance(spec, RedisSpec):
        return (spec.credential,) if spec.credential else ()
    return tuple(dict.fromkeys(database.credential for database in spec.databases if database.credential))


def needs(stack: StackNames, infra: Infra, app: str) -> Iterator[str]:
    """Yield what the processes of an app start after: the gates of what it waits for, and every service it uses."""
    for placed in infra.used_by(app):
        if placed.is_waited_for:
            yield stack.gate(names.INFRA_PREFIX + placed.name)
        if placed.is_ours:
            parts = names.app_parts(names.INFRA_PREFIX + placed.name)
            yield f"{names.unit_stem(stack.prefix, stack.stack, *parts)}.service"


def needs_of_server(stack: StackNames, infra: Infra, server: str) -> Iterator[str]:
    """Yield the gates of the services that a server needs."""
    for placed in infra.services:
        if names.INFRA_PREFIX + placed.name == server:
            known = {one.name for one in infra.services if one.is_waited_for}
            yield from (stack.gate(names.INFRA_PREFIX + n) for n in placed.service.requirement.depends_on if n in known)


def gates_of_host_units(stack: StackNames, infra: Infra, facts: HostFacts) -> Iterator[Unit]:
    """Yield the gate of each service that a unit of the host runs: it starts that unit, and waits for it."""
    for placed in infra.services:
        bare_metal = placed.service.requirement.bare_metal
        if placed.provider.name == "systemd" and bare_metal and bare_metal.systemd_unit:
            yield gate_of(
                stack, names.INFRA_PREFIX + placed.name, [bare_metal.systemd_unit], facts, _asked(placed, facts)
            )


def _asked(placed: Placed, facts: HostFacts) -> Command | None:
    """Return what asks a unit of the host whether it is healthy, None where nothing is said of how."""
    probe = container.probe_of(placed)
    if probe is None:
        return None
    flags = ("--deadline-ms", str(placed.service.requirement.startup_timeout), "--timeout-ms", str(probe.timeout))
    return Command((*facts.helper("readiness_probe"), *flags, f"--{probe.kind}", *probe.argv))


def problems(ecosystem: Ecosystem, infra: Infra, facts: HostFacts) -> Iterator[Problem]:
    """Yield what keeps the services of a stack from being run as they are declared."""
    yield from _names(infra)
    for placed in infra.services:
        service = placed.service
        yield from container.check_problems(placed)
        if placed.provider.name == "systemd":
            yield from _host_unit(placed, _may_be_root(ecosystem, placed.service.source, facts), facts)
        if placed.provider.name == "docker":
            yield from container.problems(ecosystem, placed, facts)
        if placed.is_ours and service.kind in server_settings.DEFAULTS:
            yield from server_settings.problems(service)
            yield from _refused(placed, facts)
        if placed.provider.name != "native":
            continue
        user = service.requirement.bare_metal.user if service.requirement.bare_metal else None
        account = user or ACCOUNTS[service.kind]
        if user in ("root", "0") and not facts.is_user and not _may_be_root(ecosystem, service.source, facts):
            message = (
                f"cannot run {placed.name} as root: a file that defines it belongs to another user; chown it to root"
            )
            yield service.source.problem((*service.at, "bareMetal", "user"), message)
        if not facts.is_user and facts.accounts is not None and account not in facts.accounts:
            at = (*service.at, "bareMetal", "user") if user else service.at
            message = f"cannot run {placed.name} as {account!r}: this host has no such user"
            yield service.source.problem(at, message)


def checked_settings(placed: Placed) -> ServerSettings | None:
    """Return the settings that the host's own server is to check; None where the definition has none, or wrong ones."""
    service = placed.service
    if (
        placed.provider.name != "native"
        or not service.requirement.config
        or service.kind not in server_settings.DEFAULTS
    ):
        return None
    if any(server_settings.problems(service)):
        return None
    return service.kind, tuple(server_settings.settings_of(service).items())


def _refused(placed: Placed, facts: HostFacts) -> Iterator[Problem]:
    """Yield what the server itself has against its settings."""
    service, settings = placed.service, checked_settings(placed)
    if settings and (why := facts.refusals.get(settings)):
        named = [key for key in service.requirement.config if f'"{server_settings.name_of(service, key)}"' in why]
        message = f"cannot run {placed.name} with this: {why}"
        yield service.source.problem((*service.at, "config", *named[:1]), message)


def _names(infra: Infra) -> Iterator[Problem]:
    """Yield services that one cannot tell apart, and those that need what is not there, or each other in a circle."""
    known = {placed.name: list(placed.service.requirement.depends_on) for placed in infra.services}
    units: dict[str, str] = {}
    for placed in infra.services:
        other = units.setdefault(names.unit_part(placed.name), placed.name)
        if other != placed.name:
            message = f"cannot name its units: they would be those of {other}"
            yield placed.service.source.problem(placed.service.at, message)
        for index, name in enumerate(known[placed.name]):
            if name not in known:
                at = (*placed.service.at, "dependsOn", index)
                yield placed.service.source.problem(at, f"cannot depend on {name!r}: there is no such service")
    if loop := find_cycle(known):
        first = next(placed for placed in infra.services if placed.name == loop[0])
        message = f"cannot order the services: {' → '.join([*loop, loop[0]])} is a loop"
        yield first.service.source.problem((*first.service.at, "dependsOn"), message)


def _may_be_root(ecosystem: Ecosystem, source: Source, facts: HostFacts) -> bool:
    """Return whether what a file defines may run as root: not when somebody else may write it, or the definition around it."""
    return facts.accounts is None or (is_roots_own(ecosystem.source) and is_roots_own(source))


def _host_unit(placed: Placed, is_roots: bool, facts: HostFacts) -> Iterator[Problem]:
    service = placed.service
    unit = service.requirement.bare_metal.systemd_unit if service.requirement.bare_metal else ""
    at = (*service.at, "bareMetal", "systemdUnit")
    if not HOST_UNIT.fullmatch(unit or ""):
        yield service.source.problem(at, f"cannot use {unit!r}: it is no name of a service, such as redis.service")
    elif not is_roots:
        message = (
            f"cannot use {unit}: a file that says so belongs to another user, who could start any unit with it; "
            "chown it to root"
        )
        yield service.source.problem(at, message)
    elif facts.is_user:
        yield service.source.problem(at, f"cannot use {unit}: a user's manager cannot wait for a unit of the system's")
