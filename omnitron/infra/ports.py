"""On which ports the services of a stack listen: the same ones every time, and no two on one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import count

from omnitron.definition.ecosystem import PortRange, Stack
from omnitron.infra.services import Service

BASES = {"postgres": 5432, "redis": 6379, "minio": 9000}
CONSOLE = 9001
OFFSETS = {"dev": 0, "test": 100, "staging": 200, "prod": 300}
HIGHEST = 65_535

Remembered = Mapping[str, int]
"""Ports that were given out before, by `service.port`."""


class NoPortError(Exception):
    """A range has too few ports, or an offset leads beyond the last."""


def offset_of(stack: str, settings: Stack, kind: str) -> int:
    """Return what is added to a base port: as the stack says, else a number that follows from its name."""
    offsets = settings.settings.port_offsets
    # One of services says it of all of them; that of apps is a matter of its own.
    if offsets is not None and offsets.model_fields_set - {"apps"}:
        return int(getattr(offsets, kind, 0))
    return OFFSETS.get(stack, (4 + name_hash(stack) % 12) * 100)


def name_hash(text: str) -> int:
    """Return the absolute value of the 32-bit hash that multiplies by 31 for each UTF-16 unit."""
    value = 0
    units = text.encode("utf-16-le")
    for low, high in zip(units[::2], units[1::2], strict=True):
        value = (value * 31 + low + (high << 8)) & 0xFFFFFFFF
    return abs(value - (1 << 32) if value >= 1 << 31 else value)


def declared(service: Service) -> dict[str, int]:
    """Return the ports that a service has before anything is added."""
    if service.requirement.ports:
        docker = service.requirement.docker
        mapped = docker.port_mappings if docker else {}
        return {name: mapped.get(str(port), port) for name, port in service.requirement.ports.items()}
    if service.kind == "minio":
        return {"main": BASES["minio"], "console": CONSOLE}
    return {"main": BASES[service.kind]} if service.kind in BASES else {}


def assign(stack: str, settings: Stack, services: Iterable[Service], before: Remembered) -> dict[str, dict[str, int]]:
    """Return the ports of each service of ours, by service and name; NoPortError when there are too few."""
    services = [service for service in services if not service.external]
    if settings.port_range:
        return _from_range(settings.port_range, services, before)
    assigned: dict[str, dict[str, int]] = {}
    own = [service for service in services if service.owner and not service.requirement.ports]
    places = _beside(stack, settings, own, before)
    for service in services:
        offset = offset_of(stack, settings, service.kind) + places.get(service.name, 0)
        assigned[service.name] = {name: _within(base + offset, service) for name, base in declared(service).items()}
    return assigned


def _beside(stack: str, settings: Stack, services: list[Service], before: Remembered) -> dict[str, int]:
    """Return how far beside the shared server each app's own one is: it stays there when others come or go."""
    places: dict[str, int] = {}
    for kind in {service.kind for service in services}:
        base = BASES.get(kind, 0) + offset_of(stack, settings, kind)
        mine = [service.name for service in services if service.kind == kind]
        reused = {name: before[f"{name}.main"] - base for name in mine if before.get(f"{name}.main", 0) > base}
        free = (place for place in count(1) if place not in reused.values())
        places |= {name: reused[name] if name in reused else next(free) for name in mine}
    return places


def _within(port: int, service: Service) -> int:
    if port > HIGHEST:
        raise NoPortError(f"{service.name} would listen on port {port}: the last is {HIGHEST}")
    return port


def _from_range(bounds: PortRange, services: list[Service], before: Remembered) -> dict[str, dict[str, int]]:
    """Give out ports of a range; who has had one keeps it, whatever comes or goes beside it."""
    keys = [(service.name, name) for service in services for name in declared(service)]
    ports = range(bounds.start, bounds.end + 1)
    reused = {key: before[label] for key in keys if before.get(label := ".".join(key), 0) in ports}
    free = (port for port in ports if port not in reused.values())
    assigned: dict[str, dict[str, int]] = {service.name: {} for service in services}
    for key in keys:
        port = reused.get(key) or next(free, None)
        if port is None:
            raise NoPortError(f"{len(keys)} ports are needed, and the range has {len(ports)}")
        assigned[key[0]][key[1]] = port
    return assigned
