"""From a service's definition to what the container engine is asked for. Pure, but for nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from omnitron.definition.infrastructure import ContainerHealthCheck, DockerBuild, DockerService, ResourceLimits
from omnitron.definition.paths import absolute
from omnitron.infra import presets
from omnitron.infra.placement import ServicePlacement
from omnitron.policy.server_specs import BuildSpec, ContainerCheck, ContainerSpec, ContainerVolume

NANO = 1_000_000
"""Nanoseconds of a millisecond."""


@dataclass(frozen=True)
class Place:
    """The owner of the container."""

    project: str
    stack: str
    prefix: str
    """Begins the names of its container, network and volumes."""
    slice: str
    folder: Path
    """Base of relative paths."""


def recipe(placement: ServicePlacement, environment: dict[str, str], place: Place, stop_timeout: int) -> ContainerSpec:
    """Return what the container engine is asked for. Times in milliseconds."""
    requirement = placement.service.requirement
    docker = requirement.docker or DockerService()
    build, limits = docker.build, docker.resources or requirement.resources or ResourceLimits()
    name = f"{place.prefix}-{placement.name}"
    return ContainerSpec(
        name=name,
        image=docker.image or (build.tag if build and build.tag else f"{name}:latest"),
        build=_build(build, place) if build else None,
        command=_words(docker.command),
        entrypoint=_words(docker.entrypoint),
        user=docker.user,
        environment=environment,
        ports=_ports(placement, docker),
        volumes=tuple(_volume(text, name, place.folder) for text in docker.volumes),
        network=docker.network or f"{place.prefix}_default",
        extra_hosts=tuple(docker.extra_hosts),
        labels={
            **docker.labels,
            "omnitron.managed": "true",
            "omnitron.project": place.project,
            "omnitron.stack": place.stack,
            "omnitron.service": placement.name,
            **({"omnitron.app": placement.service.owner} if placement.service.owner else {}),
            "com.docker.compose.project": place.prefix,
        },
        health=_health(docker.health_check),
        slice=place.slice,
        stop_timeout=stop_timeout,
        startup_timeout=requirement.startup_timeout,
        memory=limits.memory,
        memory_reservation=limits.memory_reservation,
        nano_cpus=round(float(limits.cpus) * 1e9) if limits.cpus else None,
        shm_size=docker.shm_size or limits.shm_size,
    )


def _build(build: DockerBuild, place: Place) -> BuildSpec:
    return BuildSpec(str(absolute(place.folder, build.context)), build.dockerfile, dict(build.args))


def _words(command: str | list[str] | None) -> str | tuple[str, ...] | None:
    return tuple(command) if isinstance(command, list) else command


def _ports(placement: ServicePlacement, docker: DockerService) -> dict[str, tuple[tuple[str, int], ...]]:
    """Return host addresses and ports by the port inside: a name's own number, unless the definition maps it."""
    declared = placement.service.requirement.ports
    bindings: dict[str, list[tuple[str, int]]] = {}
    for name, port in placement.ports.items():
        inside = presets.port_inside(placement.service.kind, name, declared.get(name, port))
        bindings.setdefault(f"{inside}/tcp", []).append((docker.bind_host, port))
    for mapped, outside in docker.port_mappings.items():
        bindings.setdefault(mapped if "/" in mapped else f"{mapped}/tcp", [(docker.bind_host, outside)])
    return {inside: tuple(addresses) for inside, addresses in bindings.items()}


def _volume(text: str, name: str, folder: Path) -> ContainerVolume:
    """Read `source:target[:mode]`: a path of the host, or a volume's name, which gets the container's before it."""
    source, _, rest = text.partition(":")
    target, _, mode = rest.partition(":")
    is_path = source.startswith(("/", ".", "~"))
    return ContainerVolume(
        source=str(absolute(folder, source)) if is_path else f"{name}-{source}",
        target=target or source,
        mode=mode or "rw",
        named=not is_path,
    )


def _health(check: ContainerHealthCheck | None) -> ContainerCheck | None:
    if check is None:
        return None
    return ContainerCheck(
        test=tuple(check.test) if isinstance(check.test, list) else ("CMD-SHELL", check.test),
        interval=check.interval * NANO,
        timeout=check.timeout * NANO,
        retries=check.retries,
        start_period=(check.start_period or 0) * NANO,
    )
