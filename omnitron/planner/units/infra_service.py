"""The services of a stack as processes like any other: the distribution's server, prepared and run by systemd."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from omnitron import names
from omnitron.definition.check import find_cycle
from omnitron.definition.process import Limits, Paths
from omnitron.definition.project import Ecosystem
from omnitron.errors import Problem
from omnitron.infra import server_settings
from omnitron.infra.placement import ServicePlacement
from omnitron.infra.resolve import Infra, PreviousAssignments, resolve
from omnitron.planner.facts import HostFacts, ServerSettings
from omnitron.planner.resolve.process import Listener, PlannedProcess, ServerSpec
from omnitron.planner.resolve.program import Program
from omnitron.planner.spec_files import spec_name
from omnitron.planner.units import container
from omnitron.planner.units.health_gate import gate_of
from omnitron.planner.units.names import StackNames
from omnitron.planner.units.server import server
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
    installed, stem = facts.assignments, names.unit_stem(ecosystem.config.unit_prefix, stack)
    before = PreviousAssignments(
        installed.ports.get(stem, {}), installed.numbers.get(stem, {}), installed.providers.get(stem, {})
    )
    return resolve(ecosystem, stack, facts.programs, before)


def processes(
    ecosystem: Ecosystem, stack: str, infra: Infra, facts: HostFacts
) -> Iterator[tuple[str, tuple[PlannedProcess, ...]]]:
    """Yield the app and the process that each of our own servers is."""
    for placement in infra.services:
        if placement.provider.name == "native":
            yield names.INFRA_PREFIX + placement.name, (_process(ecosystem, stack, infra, placement, facts),)
        elif placement.provider.name == "docker":
            yield names.INFRA_PREFIX + placement.name, (container.process(ecosystem, stack, infra, placement, facts),)


def _process(
    ecosystem: Ecosystem, stack: str, infra: Infra, placement: ServicePlacement, facts: HostFacts
) -> PlannedProcess:
    kind, requirement = placement.service.kind, placement.service.requirement
    app = names.INFRA_PREFIX + placement.name
    helper = container.native_helper(placement, facts)
    document = _postgres(infra, placement) if kind == "postgres" else _redis(infra, placement)
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
        probe=container.probe_of_preset(placement, facts),
        listeners=(Listener("tcp", placement.host, placement.port, activated=False),),
        user=(bare_metal.user if bare_metal else None) or ACCOUNTS[kind],
        startup_timeout=requirement.startup_timeout,
        stop_timeout=STOP_TIMEOUT_MS,
        paths=Paths(state=True),
        limits=_limits(placement),
    )


def _limits(placement: ServicePlacement) -> Limits:
    resources = placement.service.requirement.resources
    if resources is None:
        return Limits()
    cpus = f"{round(float(resources.cpus) * 100)}%" if resources.cpus else None
    return Limits(memory_max=resources.memory, cpu_quota=cpus)


def _postgres(infra: Infra, placement: ServicePlacement) -> PostgresSpec:
    return PostgresSpec(
        address=placement.host,
        port=placement.port,
        config=server_settings.settings_of(placement.service),
        databases=infra.databases[placement.name],
    )


def _redis(infra: Infra, placement: ServicePlacement) -> RedisSpec:
    return RedisSpec(
        address=placement.host,
        port=placement.port,
        config=server_settings.settings_of(placement.service),
        databases=infra.redis_databases[placement.name],
        credential=infra.passwords.get(placement.name),
    )


def _credentials(spec: PostgresSpec | RedisSpec) -> tuple[str, ...]:
    """Return the secrets that a server reads."""
    if isinstance(spec, RedisSpec):
        return (spec.credential,) if spec.credential else ()
    return tuple(dict.fromkeys(database.credential for database in spec.databases if database.credential))


def needs(stack: StackNames, infra: Infra, app: str) -> Iterator[str]:
    """Yield what the processes of an app start after: the gates of what it waits for, and every service it uses."""
    for placement in infra.used_by(app):
        if placement.is_waited_for:
            yield stack.gate(names.INFRA_PREFIX + placement.name)
        if placement.is_ours:
            parts = names.app_parts(names.INFRA_PREFIX + placement.name)
            yield f"{names.unit_stem(stack.prefix, stack.stack, *parts)}.service"


def needs_of_server(stack: StackNames, infra: Infra, server: str) -> Iterator[str]:
    """Yield the gates of the services that a server needs."""
    for placement in infra.services:
        if names.INFRA_PREFIX + placement.name == server:
            gated = {item.name for item in infra.services if item.is_waited_for}
            yield from (
                stack.gate(names.INFRA_PREFIX + n) for n in placement.service.requirement.depends_on if n in gated
            )


def gates_of_host_units(stack: StackNames, infra: Infra, facts: HostFacts) -> Iterator[Unit]:
    """Yield the gate of each service that a unit of the host runs: it starts that unit, and waits for it."""
    for placement in infra.services:
        bare_metal = placement.service.requirement.bare_metal
        if placement.provider.name == "systemd" and bare_metal and bare_metal.systemd_unit:
            yield gate_of(
                stack, names.INFRA_PREFIX + placement.name, [bare_metal.systemd_unit], facts, _check(placement, facts)
            )


def _check(placement: ServicePlacement, facts: HostFacts) -> Command | None:
    """Return what asks a unit of the host whether it is healthy, None where nothing is said of how."""
    probe = container.probe_of(placement)
    if probe is None:
        return None
    flags = ("--deadline-ms", str(placement.service.requirement.startup_timeout), "--timeout-ms", str(probe.timeout))
    return Command((*facts.helper("readiness_probe"), *flags, f"--{probe.kind}", *probe.argv))


def problems(ecosystem: Ecosystem, infra: Infra, facts: HostFacts) -> Iterator[Problem]:
    """Yield what keeps the services of a stack from being run as they are declared."""
    yield from _names(infra)
    for placement in infra.services:
        service = placement.service
        yield from container.check_problems(placement)
        if placement.provider.name == "systemd":
            yield from _host_unit(placement, facts)
        if placement.provider.name == "docker":
            yield from container.problems(ecosystem, placement, facts)
        if placement.is_ours and service.kind in server_settings.DEFAULTS:
            yield from server_settings.problems(service)
            yield from _refusals(placement, facts)
        if placement.provider.name != "native":
            continue
        user = service.requirement.bare_metal.user if service.requirement.bare_metal else None
        account = user or ACCOUNTS[service.kind]
        if not facts.is_user and facts.accounts is not None and account not in facts.accounts:
            at = (*service.at, "bareMetal", "user") if user else service.at
            message = f"cannot run {placement.name} as {account!r}: this host has no such user"
            yield service.source.problem(at, message)


def checked_settings(placement: ServicePlacement) -> ServerSettings | None:
    """Return the settings that the host's own server is to check; None where the definition has none, or wrong ones."""
    service = placement.service
    if (
        placement.provider.name != "native"
        or not service.requirement.config
        or service.kind not in server_settings.DEFAULTS
    ):
        return None
    if any(server_settings.problems(service)):
        return None
    return service.kind, tuple(server_settings.settings_of(service).items())


def _refusals(placement: ServicePlacement, facts: HostFacts) -> Iterator[Problem]:
    """Yield what the server itself has against its settings."""
    service, settings = placement.service, checked_settings(placement)
    if settings and (why := facts.refusals.get(settings)):
        named = [key for key in service.requirement.config if f'"{server_settings.name_of(service, key)}"' in why]
        message = f"cannot run {placement.name} with this: {why}"
        yield service.source.problem((*service.at, "config", *named[:1]), message)


def _names(infra: Infra) -> Iterator[Problem]:
    """Yield services that one cannot tell apart, and those that need what is not there, or each other in a circle."""
    gated = {placement.name: list(placement.service.requirement.depends_on) for placement in infra.services}
    units: dict[str, str] = {}
    for placement in infra.services:
        other = units.setdefault(names.unit_part(placement.name), placement.name)
        if other != placement.name:
            message = f"cannot name its units: they would be those of {other}"
            yield placement.service.source.problem(placement.service.at, message)
        for index, name in enumerate(gated[placement.name]):
            if name not in gated:
                at = (*placement.service.at, "dependsOn", index)
                yield placement.service.source.problem(at, f"cannot depend on {name!r}: there is no such service")
    if loop := find_cycle(gated):
        first = next(placement for placement in infra.services if placement.name == loop[0])
        message = f"cannot order the services: {' → '.join([*loop, loop[0]])} is a loop"
        yield first.service.source.problem((*first.service.at, "dependsOn"), message)


def _host_unit(placement: ServicePlacement, facts: HostFacts) -> Iterator[Problem]:
    service = placement.service
    unit = service.requirement.bare_metal.systemd_unit if service.requirement.bare_metal else ""
    at = (*service.at, "bareMetal", "systemdUnit")
    if not HOST_UNIT.fullmatch(unit or ""):
        yield service.source.problem(at, f"cannot use {unit!r}: it is no name of a service, such as redis.service")
    elif facts.is_user:
        yield service.source.problem(at, f"cannot use {unit}: a user's manager cannot wait for a unit of the system's")
