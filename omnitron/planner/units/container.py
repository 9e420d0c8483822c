"""A service in a container as a process: a program of ours stays in the foreground of its unit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from omnitron import names
from omnitron.definition.infrastructure import JsonRpcCheck, ServiceHealthCheck
from omnitron.definition.project import Ecosystem
from omnitron.definition.source import KeyPath, Source
from omnitron.errors import Problem
from omnitron.infra.container_recipe import Place, recipe
from omnitron.infra.placement import ServicePlacement
from omnitron.infra.resolve import Infra
from omnitron.planner.facts import HostFacts
from omnitron.planner.resolve.process import Listener, PlannedProcess, Probe, ServerSpec, join_port
from omnitron.planner.resolve.program import Program
from omnitron.planner.resolve.restarts import Restarts
from omnitron.planner.spec_files import spec_name
from omnitron.planner.units.server import restarts_of, server
from omnitron.policy.server_specs import ContainerSpec
from omnitron.secrets import references

STOP_TIMEOUT_MS = 10_000
SPARE_MS = 10_000
"""Time for a stop beside the container's own."""
DEFAULT_RULES = (10_000, 30_000, 5, 0)
"""Deadline of a check, time between two, failures in a row, and time from its start in which they do not count."""
RESTARTS: dict[str, Literal["on-failure", "always"]] = {
    "always": "always",
    "unless-stopped": "always",
    "on-failure": "on-failure",
}
"""The engine's restart policies, which systemd carries out."""


def process(
    ecosystem: Ecosystem, stack: str, infra: Infra, placement: ServicePlacement, facts: HostFacts
) -> PlannedProcess:
    """Return the process of a container."""
    environment = dict(infra.containers[placement.name])
    settings = replace(
        recipe(placement, environment, place_of(ecosystem, stack), STOP_TIMEOUT_MS),
        databases=infra.databases.get(placement.name, ()),
        buckets=infra.buckets.get(placement.name, ()),
    )
    return runner(
        ecosystem,
        stack,
        names.INFRA_PREFIX + placement.name,
        settings,
        facts,
        asks=placement.service.requirement.health_check is not None,
        probe=probe_of(placement) or probe_of_preset(placement, facts),
        listeners=tuple(Listener("tcp", placement.host, port, activated=False) for port in placement.ports.values()),
        restarts=_restarts(ecosystem, placement),
    )


def place_of(ecosystem: Ecosystem, stack: str) -> Place:
    """Return whose containers those of a stack are."""
    config = ecosystem.config
    prefix = config.stacks[stack].settings.container_prefix or f"{config.project}-{stack}"
    return Place(config.project, stack, prefix, f"{names.unit_stem(config.unit_prefix, stack)}.slice", ecosystem.folder)


def runner(
    ecosystem: Ecosystem,
    stack: str,
    app: str,
    settings: ContainerSpec,
    facts: HostFacts,
    *,
    asks: bool,
    probe: Probe | None,
    listeners: tuple[Listener, ...],
    restarts: Restarts | None = None,
    reads: tuple[Path, ...] = (),
) -> PlannedProcess:
    """Return the process that stays in the foreground of the container which `settings` describe."""
    spec = ServerSpec(settings, setup=None, stop_signal=None, credentials=_credentials(settings), asks=asks)
    stem = names.unit_stem(ecosystem.config.unit_prefix, stack)
    path = str(facts.specs / spec_name(stem, app, names.SINGLE_PROCESS, spec))
    program = (str(facts.host_python), "-P", "-m", "omnitron.programs.containers")
    if settings.reload:
        spec = replace(spec, reload=(*program, "reload", path))
    context = [Path(settings.build.path)] if settings.build else []
    ours = (*facts.own_folders, facts.package_folder / "omnitron")
    return server(
        ecosystem,
        stack,
        app,
        Program((*program, "run", path), (*ours, *context, *reads)),
        spec,
        probe=probe,
        listeners=listeners,
        # Who may talk to the engine is as good as root.
        user="root",
        startup_timeout=settings.startup_timeout,
        stop_timeout=settings.stop_timeout + SPARE_MS,
        restarts=restarts,
        environment=(("PYTHONUNBUFFERED", "1"),),
    )


def _credentials(settings: ContainerSpec) -> tuple[str, ...]:
    """Return the secrets that the program of a container reads."""
    templates = [*settings.environment.values()]
    templates += [file.text for file in settings.files.each if file.text] if settings.files else []
    credentials = [name for template in templates for name in references.names_in(template)]
    credentials += [database.credential for database in settings.databases if database.credential]
    return tuple(dict.fromkeys(credentials))


def _restarts(ecosystem: Ecosystem, placement: ServicePlacement) -> Restarts:
    restart_policy = (
        placement.service.requirement.docker.restart if placement.service.requirement.docker else "unless-stopped"
    )
    common = restarts_of(ecosystem)
    policy_settings = RESTARTS.get(restart_policy.partition(":")[0])
    return replace(common, restart=policy_settings) if policy_settings else replace(common, enabled=False)


def probe_of(placement: ServicePlacement) -> Probe | None:
    """Return how it is asked from outside; the engine's own check of it is the engine's affair."""
    check = placement.service.requirement.health_check
    if check is None:
        return None
    rules = _rules(check)
    address = join_port(placement.host, placement.port)
    target = check.target or "/"
    if check.type == "command":
        return Probe("command", ("/bin/sh", "-c", target), *rules)
    if check.type == "jsonrpc" and check.jsonrpc:
        return Probe("jsonrpc", (_jsonrpc(placement, check.jsonrpc),), *rules)
    if check.type == "http":
        return Probe("http", (f"http://{address}{target}" if target.startswith("/") else target,), *rules)
    return Probe("tcp", (address if target.startswith("/") else target,), *rules)


def _rules(check: ServiceHealthCheck) -> tuple[int, int, int, int]:
    return check.timeout, check.interval, check.retries, check.start_period


def _jsonrpc(placement: ServicePlacement, check: JsonRpcCheck) -> str:
    """Return method and URL."""
    port = placement.ports.get(check.port, 0) if isinstance(check.port, str) else check.port
    return f"{check.method} http://{join_port(placement.host, port)}{check.path}"


def probe_of_preset(placement: ServicePlacement, facts: HostFacts) -> Probe | None:
    """Return how a known server is asked, in the words of its own protocol; None for any other."""
    check, kind = placement.service.requirement.health_check, placement.service.kind
    rules = _rules(check) if check else DEFAULT_RULES
    if kind == "minio":
        return Probe("http", (f"http://{join_port(placement.host, placement.port)}/minio/health/live",), *rules)
    if kind in ("postgres", "redis"):
        return Probe("command", (*native_helper(placement, facts), "probe", str(placement.port)), *rules)
    return None


def native_helper(placement: ServicePlacement, facts: HostFacts) -> tuple[str, ...]:
    """Return the program of ours that knows a kind of server."""
    program = facts.package_folder / f"omnitron/programs/servers/{placement.service.kind}.py"
    return (str(facts.helper_python), "-I", "-S", str(program))


def check_problems(placement: ServicePlacement) -> Iterator[Problem]:
    """Yield what is wrong with how a service is to be asked."""
    service, check = placement.service, placement.service.requirement.health_check
    if check is None or check.type != "jsonrpc":
        return
    at = (*service.at, "healthCheck")
    request = check.jsonrpc
    if request is None:
        yield service.source.problem(at, "cannot ask by JSON-RPC: jsonrpc {port, method} is missing")
    elif isinstance(request.port, str) and request.port not in placement.ports:
        port_names = ", ".join(placement.ports) or "none"
        message = f"cannot ask port {request.port!r}: there is {port_names}"
        yield service.source.problem((*at, "jsonrpc", "port"), message)
    elif not request.method.isprintable() or " " in request.method or not request.path.startswith("/"):
        message = "cannot ask by JSON-RPC: a method is one word, and a path begins with /"
        yield service.source.problem((*at, "jsonrpc"), message)


def problems(ecosystem: Ecosystem, placement: ServicePlacement, facts: HostFacts) -> Iterator[Problem]:
    """Yield what keeps a container from being run as it is declared."""
    service = placement.service
    docker = service.requirement.docker
    if docker is None or not (docker.image or docker.build):
        yield service.source.problem((*service.at, "docker"), "cannot run a container: neither image nor build is said")
    yield from problems_of_engine(service.source, (*service.at, "docker"), facts)


def problems_of_engine(source: Source, at: KeyPath, facts: HostFacts) -> Iterator[Problem]:
    """Yield what keeps anything that `source` says at `at` from being run by the container engine."""
    if facts.programs is not None and "docker" not in facts.programs:
        message = "cannot run a container: this host has no container engine"
        yield source.problem(at, message, "apt install docker.io")
