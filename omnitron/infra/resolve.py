"""The infrastructure of a stack as it will be: who runs each service, on which ports, and what apps are told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from omnitron.definition.project import Ecosystem
from omnitron.errors import Problem
from omnitron.infra import ports, presets, redis_numbers, server_settings
from omnitron.infra.connection_variables import ConnectionVariables
from omnitron.infra.needs import Needs
from omnitron.infra.placement import ServicePlacement
from omnitron.infra.providers import NoProviderError, Provider, choose
from omnitron.infra.services import Service, StackServices, services_of
from omnitron.policy.server_specs import BucketSpec, DatabaseSpec

LOCAL = "127.0.0.1"


@dataclass(frozen=True)
class Infra:
    """All that a stack has beside its apps."""

    services: tuple[ServicePlacement, ...] = ()
    environment: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Variables by app; their values refer to secrets."""
    generated: Mapping[str, str | None] = field(default_factory=dict)
    """Secrets that are made when they are not there: None for a random one, else what the definition says."""
    needs: Mapping[str, Needs] = field(default_factory=dict)
    numbers: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Redis databases by app and purpose."""
    databases: Mapping[str, tuple[DatabaseSpec, ...]] = field(default_factory=dict)
    """By server of ours."""
    containers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The environment of each container, by service; values may refer to secrets."""
    redis_databases: Mapping[str, int] = field(default_factory=dict)
    """Number of databases of each Redis server that omnitron runs."""
    buckets: Mapping[str, tuple[BucketSpec, ...]] = field(default_factory=dict)
    """By S3 server of ours."""
    passwords: Mapping[str, str] = field(default_factory=dict)
    """The secret that clients of a server of ours give as its password, by server."""
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()

    @property
    def shared_redis(self) -> ServicePlacement | None:
        """The Redis server that is for the whole stack."""
        return next((item for item in self.services if item.service.kind == "redis" and not item.service.owner), None)

    def used_by(self, app: str) -> list[ServicePlacement]:
        """Return the services that an app uses."""
        return [placement for placement in self.services if app in placement.service.users]


@dataclass(frozen=True)
class PreviousAssignments:
    """Ports, numbers and providers that a stack had before, and still has."""

    ports: Mapping[str, int] = field(default_factory=dict)
    """By `service.port`."""
    numbers: Mapping[str, int] = field(default_factory=dict)
    """Redis databases, by `app/purpose`."""
    providers: Mapping[str, str] = field(default_factory=dict)
    """Provider, by service."""


def resolve(ecosystem: Ecosystem, stack: str, programs: frozenset[str] | None, before: PreviousAssignments) -> Infra:
    """Return the infrastructure of a stack, with every problem that it has.

    `programs` are servers that the host has, `before` what was given out when it was installed last.
    """
    stack_services = services_of(ecosystem, stack)
    chosen = _choose(stack_services.services, ecosystem, stack, programs, before.providers)
    services, providers = chosen.services, chosen.providers
    problems, warnings = chosen.problems, chosen.warnings
    own = ecosystem.config.stacks[stack].infrastructure
    if own and own.gateway:
        message = "has no effect: a gateway is that of all stacks: say gateway"
        warnings.append(ecosystem.source.problem(("stacks", stack, "infrastructure", "gateway"), message))
    problems += _unsupported(stack_services)
    problems += [problem for service in services for problem in _too_short(service)]
    problems += [problem for service in stack_services.services for problem in _unselected(service)]
    try:
        assigned = _ports(ecosystem, stack, services, providers, before.ports)
    except ports.NoPortError as error:
        at = ("stacks", stack, "portRange") if ecosystem.config.stacks[stack].port_range else ("stacks", stack)
        problems.append(ecosystem.source.problem(at, f"cannot give out ports: {error}"))
        return Infra(problems=tuple(problems), warnings=tuple(warnings))
    placement = tuple(
        ServicePlacement(
            item, providers[item.name], item.external.host if item.external else LOCAL, assigned[item.name]
        )
        for item in services
    )
    numbers, redis_databases = _redis_numbers(ecosystem, stack, stack_services, placement, before.numbers)
    problems += _beyond_limit(placement, numbers, stack_services)
    connections = ConnectionVariables(
        stack, stack_services, {item.name: item for item in placement}, numbers, redis_databases
    )
    environment = {app: dict(connections.variables(app)) for app in stack_services.needs}
    ours = [item for item in placement if item.is_ours]
    to_make = {item.name: tuple(connections.databases(item)) for item in ours if item.service.kind == "postgres"}
    buckets = {item.name: tuple(connections.buckets(item)) for item in ours if item.service.kind == "minio"}
    containers = {item.name: dict(connections.inside(item)) for item in placement if item.provider.name == "docker"}
    caches = [item for item in placement if item.service.kind == "redis"]
    passwords = {item.name: name for item in caches if (name := connections.secret(item, "password"))}
    return Infra(
        placement,
        environment,
        connections.generated,
        stack_services.needs,
        numbers,
        to_make,
        containers,
        redis_databases,
        buckets,
        passwords,
        (*problems, *connections.problems),
        tuple(warnings),
    )


@dataclass
class _Choice:
    """The services that run in a stack, with their providers, and what is to be said of all."""

    services: list[Service] = field(default_factory=list)
    providers: dict[str, Provider] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)


def _choose(
    services: Iterable[Service],
    ecosystem: Ecosystem,
    stack: str,
    programs: frozenset[str] | None,
    before: Mapping[str, str],
) -> _Choice:
    """Return the services with a provider each; `before` are the providers of the last installation."""
    choice = _Choice()
    is_degradable = ecosystem.config.stacks[stack].settings.allow_degraded_infra
    for service in services:
        try:
            provider = choose(service, programs, before.get(service.name))
        except NoProviderError as error:
            problem = service.source.problem(service.at, f"cannot run {service.name}: {error}", error.hint)
            choice.problems.append(problem)
            continue
        if provider.name == "external" and service.requirement.health_check:
            at = (*service.at, "healthCheck")
            choice.warnings.append(service.source.problem(at, "has no effect: nobody asks what runs elsewhere"))
        if service.kind in ("openresty", "tor") and provider.name != "docker":
            message = "has no effect in this version: describe its container"
            choice.warnings.append(service.source.problem(service.at, message))
            continue
        choice.providers[service.name] = provider
        if is_degradable:
            service = replace(service, requirement=service.requirement.model_copy(update={"critical": False}))
        choice.services.append(presets.contained(service) if provider.name == "docker" else service)
        choice.warnings += _without_effect(service, provider)
    return choice


def _redis_numbers(
    ecosystem: Ecosystem,
    stack: str,
    stack_services: StackServices,
    placement: Iterable[ServicePlacement],
    before: Mapping[str, int],
) -> tuple[dict[tuple[str, str], int], dict[str, int]]:
    """Return the Redis database of each use, and the number of databases of each server."""
    numbers: dict[tuple[str, str], int] = {}
    databases: dict[str, int] = {}
    for server in (item for item in placement if item.service.kind == "redis"):
        users = [app for app in stack_services.needs if stack_services.serving.get((app, "redis")) == server.name]
        # A server of one app's own shares its numbers with no other app.
        first = 0 if server.service.owner else redis_numbers.first_of(stack, ecosystem.config.stacks[stack])
        gateway = not server.service.owner and ecosystem.gateway is not None
        by_use = redis_numbers.assign(first, stack_services.needs, users, gateway=gateway, before=before)
        databases[server.name] = server_settings.redis_databases(server.service, by_use.values())
        numbers |= by_use
    return numbers, databases


def _ports(
    ecosystem: Ecosystem,
    stack: str,
    services: list[Service],
    providers: Mapping[str, Provider],
    remembered: Mapping[str, int],
) -> dict[str, dict[str, int]]:
    ours = [service for service in services if providers[service.name].name in ("native", "docker")]
    assigned = ports.assign(stack, ecosystem.config.stacks[stack], ours, remembered)
    for service in services:
        elsewhere = dict(service.external.ports) if service.external else {}
        assigned.setdefault(service.name, elsewhere or ports.declared(service))
    return assigned


def _without_effect(service: Service, provider: Provider) -> Iterator[Problem]:
    """Yield what is said of a service and means nothing where it runs."""
    requirement = service.requirement
    if provider.name != "docker" and service.at[-2:-1] in (("services",), ("infrastructure",)):
        for name in ("image", "version"):
            if getattr(requirement, name) is not None and service.kind in presets.IMAGES:
                yield service.source.problem((*service.at, name), f"has no effect: it is {provider.name} here")
    elif provider.name == "docker" and service.kind in presets.IMAGES:
        declared_value = {"docker.image": requirement.docker and requirement.docker.image, "image": requirement.image}
        first = next((name for name, image in declared_value.items() if image), None)
        for name in ("image", "version"):
            if first and name != first and getattr(requirement, name) is not None:
                yield service.source.problem((*service.at, name), f"has no effect: {first} says which one it is")


def _unselected(service: Service) -> Iterator[Problem]:
    """Yield a network mode that selects nothing."""
    requirement, mode = service.requirement, service.requirement.network_mode
    parts = (requirement.docker, requirement.bare_metal)
    variant_names = [name for part in parts if part for name in part.variants]
    if mode and mode not in variant_names:
        there = ", ".join(dict.fromkeys(variant_names)) or "none"
        message = f"cannot select the variant {mode!r}: there is {there}"
        yield service.source.problem((*service.at, "networkMode"), message)


def _too_short(service: Service) -> Iterator[Problem]:
    """Yield keys that MinIO would not start with."""
    for name, least in (("accessKey", 3), ("secretKey", 8)) if service.kind == "minio" else ():
        declared_value = service.requirement.secrets.get(name)
        if isinstance(declared_value, str) and len(declared_value) < least:
            message = f"cannot use this {name}: it has at least {least} characters"
            yield service.source.problem((*service.at, name), message)


def _unsupported(stack_services: StackServices) -> Iterator[Problem]:
    for needs in stack_services.needs.values():
        if needs.database and needs.database.dialect != "postgres":
            message = f"cannot provide a {needs.database.dialect} database: this version has postgres alone"
            yield needs.problem("database", ("dialect",), message, "leave database out, and set DATABASE_URL in env")


def _beyond_limit(
    placement: tuple[ServicePlacement, ...], numbers: Mapping[tuple[str, str], int], stack_services: StackServices
) -> Iterator[Problem]:
    """Say which apps would use a Redis database that the server does not have; ours has as many as are used."""
    for item in placement:
        declared_value = item.service.requirement.config.get("databases")
        if item.service.kind != "redis" or (item.is_ours and declared_value is None):
            continue
        limit = declared_value if isinstance(declared_value, int) else redis_numbers.DEFAULT_LIMIT
        at_gateway = numbers.get(redis_numbers.GATEWAY)
        if at_gateway is not None and at_gateway >= limit and not item.service.owner:
            message = f"cannot keep maintenance mode in Redis database {at_gateway}: {item.name} has {limit}, from 0"
            cure = "lower stacks.*.settings.redisDbOffset, or raise databases"
            yield item.service.source.problem(item.service.at, message, cure)
        for (app, purpose), number in numbers.items():
            if stack_services.serving.get((app, "redis")) == item.name and number >= limit:
                needs = stack_services.needs[app]
                field, more = ("redis", ()) if purpose == "redis" else ("services", (purpose,))
                message = f"cannot use Redis database {number}: {item.name} has {limit}, numbered from 0"
                yield needs.problem(field, more, message, "lower stacks.*.settings.redisDbOffset, or raise databases")
