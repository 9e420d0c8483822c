"""The services of a stack: declared ones, those that an app's needs imply, and what the stack changes of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from omnitron.definition.infrastructure import (
    BareMetalService,
    DockerService,
    ExternalService,
    Infrastructure,
    LegacyDatabase,
    LegacyPostgres,
    LegacyRedis,
    Secret,
    ServiceOverride,
    ServiceRequirement,
)
from omnitron.definition.project import App, Ecosystem
from omnitron.definition.source import KeyPath, Source
from omnitron.infra.needs import Needs, needs_of

Kind = Literal["postgres", "redis", "minio", "openresty", "tor", "custom"]

KINDS_OF_NEEDS: tuple[Kind, ...] = ("postgres", "redis", "minio")
"""Kinds of services that `database`, `redis` and `s3` of an app need."""


@dataclass(frozen=True)
class Service:
    """One service of a stack, before it is known where and how it runs."""

    name: str
    kind: Kind
    requirement: ServiceRequirement
    source: Source
    at: KeyPath
    """Place of its declaration, or of the need that implies it."""
    owner: str | None = None
    """The one app that it is for; None for all."""
    external: ExternalService | None = None
    """Host that it runs on, when that is another one."""
    users: tuple[str, ...] = ()
    """Apps that use it."""
    databases: Mapping[str, LegacyDatabase] = field(default_factory=dict)
    """Databases to make beside those of apps."""
    buckets: tuple[str, ...] = ()
    """Buckets to make beside those of apps."""


@dataclass(frozen=True)
class StackServices:
    """The services that a stack needs."""

    services: tuple[Service, ...]
    needs: Mapping[str, Needs]
    """By app."""
    serving: Mapping[tuple[str, Kind], str]
    """The service of a kind that an app uses, by app and kind."""


def services_of(ecosystem: Ecosystem, stack: str) -> StackServices:
    """Return the services of a stack, declared ones first, and who uses which."""
    apps = ecosystem.apps_of(stack)
    needs = {app.name: needs_of(app) for app in apps}
    by_name = {service.name: service for service in _declared(ecosystem, stack)}
    serving: dict[tuple[str, Kind], str] = {}
    for app in apps:
        for service in _own(app, needs[app.name]):
            by_name.setdefault(service.name, service)
        for kind, name, service in _implied(needs[app.name], app.name, by_name):
            by_name.setdefault(name, service)
            serving[app.name, kind] = name
    overrides = ecosystem.config.stacks[stack].service_overrides
    services = [changed for service in by_name.values() if (changed := _overridden(_varied(service), overrides))]
    names = {service.name for service in services}
    serving = {key: name for key, name in serving.items() if name in names}
    return StackServices(tuple(replace(item, users=_users(item, apps, serving)) for item in services), needs, serving)


def _users(service: Service, apps: tuple[App, ...], serving: Mapping[tuple[str, Kind], str]) -> tuple[str, ...]:
    """Return who uses a service: who says so, or the app that it belongs to, or for a custom one everybody."""
    if service.owner:
        return (service.owner,)
    if service.kind in KINDS_OF_NEEDS:
        return tuple(dict.fromkeys(app for (app, _), name in serving.items() if name == service.name))
    return tuple(app.name for app in apps) if service.kind == "custom" else ()


def _declared(ecosystem: Ecosystem, stack: str) -> Iterator[Service]:
    config = ecosystem.config
    levels = [
        (config.infrastructure, ("infrastructure",)),
        (config.stacks[stack].infrastructure, ("stacks", stack, "infrastructure")),
    ]
    by_name: dict[str, Service] = {}
    for level, at in levels:
        for service in _of_level(level, ecosystem.source, at) if level else ():
            by_name[service.name] = service
    yield from by_name.values()


def _of_level(level: Infrastructure, source: Source, at: KeyPath) -> Iterator[Service]:
    if level.postgres:
        yield Service(
            "postgres",
            "postgres",
            ServiceRequirement(
                preset="postgres",
                image=_value(level.postgres, "image"),
                config=level.postgres.config,
                ports={"main": level.postgres.port},
                secrets=_secrets(password=level.postgres.password),
                resources=level.postgres.resources,
            ),
            source,
            (*at, "postgres"),
            databases=level.postgres.databases,
        )
    if level.redis:
        yield Service(
            "redis",
            "redis",
            ServiceRequirement(
                preset="redis",
                image=_value(level.redis, "image"),
                config=level.redis.config,
                ports={"main": level.redis.port},
                secrets=_secrets(password=level.redis.password),
                resources=level.redis.resources,
            ),
            source,
            (*at, "redis"),
        )
    if level.minio:
        yield Service(
            "minio",
            "minio",
            ServiceRequirement(
                preset="minio",
                image=level.minio.image,
                ports={"main": level.minio.ports.api, "console": level.minio.ports.console},
                secrets=_secrets(accessKey=level.minio.access_key, secretKey=level.minio.secret_key),
                resources=level.minio.resources,
            ),
            source,
            (*at, "minio"),
            buckets=tuple(level.minio.buckets),
        )
    for name, container in level.containers.items():
        docker = DockerService(
            image=container.image,
            environment=container.environment,
            volumes=container.volumes,
            command=container.command,
            health_check=container.health_check,
            resources=container.resources,
        )
        requirement = ServiceRequirement(docker=docker, depends_on=container.depends_on)
        yield Service(name, "custom", requirement, source, (*at, "containers", name))
    for name, requirement in level.services.items():
        yield Service(name, requirement.preset or "custom", requirement, source, (*at, "services", name))


def _value(model: LegacyPostgres | LegacyRedis, name: str) -> Any:
    """Return the value of a field that somebody has set."""
    return getattr(model, name) if name in model.model_fields_set else None


def _secrets(**named_secrets: Secret | None) -> dict[str, Secret]:
    return {name: value for name, value in named_secrets.items() if value is not None}


def _own(app: App, needs: Needs) -> Iterator[Service]:
    source, at = needs.place("infrastructure")
    for name, requirement in needs.own.items():
        kind = requirement.preset or "custom"
        yield Service(f"{app.name}-{name}", kind, requirement, source, (*at, name), app.name)


def _implied(needs: Needs, app: str, existing: Mapping[str, Service]) -> Iterator[tuple[Kind, str, Service]]:
    """Yield the service that serves each need: one of its own where it is dedicated, else the shared one."""
    redis = needs.redis or (bool(needs.services) or None)
    for kind, key, need in (
        ("postgres", "database", needs.database),
        ("redis", "redis", redis),
        ("minio", "s3", needs.s3),
    ):
        if need is None:
            continue
        shared = next((item.name for item in existing.values() if item.kind == kind and not item.owner), kind)
        dedicated = bool(getattr(need, "dedicated", False))
        name = f"{app}-{kind}" if dedicated else shared
        preset = ServiceRequirement(preset=kind)  # type: ignore[arg-type] # all three are presets
        source, at = needs.place(key)
        yield kind, name, Service(name, kind, preset, source, at, app if dedicated else None)  # type: ignore[misc, arg-type]


def _varied(service: Service) -> Service:
    """Return a service with the variant that its network mode selects."""
    requirement = service.requirement
    if not (mode := requirement.network_mode):
        return service
    docker, bare_metal = requirement.docker, requirement.bare_metal
    update = {
        "docker": merged(docker, docker.variants.get(mode)) if docker else None,
        "bare_metal": merged(bare_metal, bare_metal.variants.get(mode)) if bare_metal else None,
    }
    return replace(service, requirement=requirement.model_copy(update=update))


def _overridden(service: Service, overrides: Mapping[str, ServiceOverride]) -> Service | None:
    """Return a service as the stack wants it, None where it does without; an app's own key wins over the general."""
    own = service.name.removeprefix(f"{service.owner}-")
    keys = [service.name, own, *([f"{service.owner}/{own}"] if service.owner else [])]
    for key in dict.fromkeys(keys):
        override = overrides.get(key)
        if override is None:
            continue
        if override.disabled:
            return None
        requirement = service.requirement.model_copy(
            update={
                "docker": merged(service.requirement.docker, override.docker),
                "bare_metal": merged(service.requirement.bare_metal, override.bare_metal),
            }
        )
        service = replace(service, requirement=requirement, external=override.external or service.external)
    return service


def merged(base: DockerService | BareMetalService | None, over: DockerService | BareMetalService | None):  # type: ignore[no-untyped-def]
    """Return `base` with what `over` says: environment, port mappings and labels by key, the rest replaced."""
    if base is None or over is None:
        return over or base
    update = {name: getattr(over, name) for name in over.model_fields_set}
    for name in ("environment", "port_mappings", "labels"):
        if name in update:
            update[name] = {**getattr(base, name), **update[name]}
    return base.model_copy(update=update)
