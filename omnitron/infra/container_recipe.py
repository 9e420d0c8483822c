"""From a service's definition to what the container engine is asked for. Pure, but for nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omnitron.definition.infrastructure import ContainerHealthCheck, DockerService, ResourceLimits
from omnitron.definition.paths import absolute
from omnitron.infra import presets
from omnitron.infra.placement import Placed

NANO = 1_000_000
"""Nanoseconds of a millisecond."""


@dataclass(frozen=True)
class Place:
    """Whose container it is."""

    project: str
    stack: str
    prefix: str
    """Begins the names of its container, network and volumes."""
    slice: str
    folder: Path
    """What relative paths start from."""


def recipe(placed: Placed, environment: dict[str, str], place: Place, stop_timeout: int) -> dict[str, Any]:
    """Return the settings of a container, as the engine reads them. Times in milliseconds."""
    requirement = placed.service.requirement
    docker = requirement.docker or DockerService()
    build = docker.build
    name = f"{place.prefix}-{placed.name}"
    return {
        "name": name,
        "image": docker.image or (build.tag if build and build.tag else f"{name}:latest"),
        "build": {
            "path": str(absolute(place.folder, build.context)),
            "dockerfile": build.dockerfile,
            "buildargs": dict(build.args),
        }
        if build
        else None,
        "command": docker.command,
        "entrypoint": docker.entrypoint,
        "user": docker.user,
        "environment": environment,
        "ports": _ports(placed, docker),
        "volumes": [_volume(text, name, place.folder) for text in docker.volumes],
        "network": docker.network or f"{place.prefix}_default",
        "extraHosts": list(docker.extra_hosts),
        "labels": {
            **docker.labels,
            "omnitron.managed": "true",
            "omnitron.project": place.project,
            "omnitron.stack": place.stack,
            "omnitron.service": placed.name,
            **({"omnitron.app": placed.service.owner} if placed.service.owner else {}),
            "com.docker.compose.project": place.prefix,
        },
        "health": _health(docker.health_check),
        "slice": place.slice,
        "stopTimeout": stop_timeout,
        "startupTimeout": requirement.startup_timeout,
        **_limits(docker.resources or requirement.resources, docker),
    }


def _ports(placed: Placed, docker: DockerService) -> dict[str, list[tuple[str, int]]]:
    """Return host addresses and ports by the port inside: a name's own number, unless the definition maps it."""
    declared = placed.service.requirement.ports
    found: dict[str, list[tuple[str, int]]] = {}
    for name, port in placed.ports.items():
        inside = presets.port_inside(placed.service.kind, name, declared.get(name, port))
        found.setdefault(f"{inside}/tcp", []).append((docker.bind_host, port))
    for mapped, outside in docker.port_mappings.items():
        found.setdefault(mapped if "/" in mapped else f"{mapped}/tcp", [(docker.bind_host, outside)])
    return found


def _volume(text: str, name: str, folder: Path) -> dict[str, str | bool]:
    """Read `source:target[:mode]`: a path of the host, or a volume's name, which gets the container's before it."""
    source, _, rest = text.partition(":")
    target, _, mode = rest.partition(":")
    is_path = source.startswith(("/", ".", "~"))
    return {
        "source": str(absolute(folder, source)) if is_path else f"{name}-{source}",
        "target": target or source,
        "mode": mode or "rw",
        "named": not is_path,
    }


def _health(check: ContainerHealthCheck | None) -> dict[str, Any] | None:
    if check is None:
        return None
    test = check.test if isinstance(check.test, list) else ["CMD-SHELL", check.test]
    return {
        "test": test,
        "interval": check.interval * NANO,
        "timeout": check.timeout * NANO,
        "retries": check.retries,
        "start_period": (check.start_period or 0) * NANO,
    }


def _limits(limits: ResourceLimits | None, docker: DockerService) -> dict[str, Any]:
    limits = limits or ResourceLimits()
    return {
        "memory": limits.memory,
        "memoryReservation": limits.memory_reservation,
        "nanoCpus": round(float(limits.cpus) * 1e9) if limits.cpus else None,
        "shmSize": docker.shm_size or limits.shm_size,
    }
