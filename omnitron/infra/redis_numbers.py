"""Which of the numbered databases of a Redis server each app of a stack uses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from omnitron.definition.ecosystem import Stack
from omnitron.infra.needs import Needs
from omnitron.infra.ports import OFFSETS, name_hash

DEFAULT_LIMIT = 16
RANGE = 5
STARTS = {name: RANGE * position for position, name in enumerate(OFFSETS)}
GATEWAY = ("gateway", "maintenance")
"""The use of the stack's gateway."""
SHARED = ("discovery", "notifications", "priceverse")
"""Services that have a database of their own for each app that wants them, after those of the apps."""


def first_of(stack: str, settings: Stack) -> int:
    """Return the first number of a stack."""
    if settings.settings.redis_db_offset is not None:
        return settings.settings.redis_db_offset
    return STARTS.get(stack, (4 + name_hash(stack) % 12) * RANGE)


def assign(first: int, needs: Mapping[str, Needs], users: Iterable[str]) -> dict[tuple[str, str], int]:
    """Return the number for each use of one server, by app and purpose (`redis`, or the name of a shared service)."""
    users = list(users)
    wanted = [(app, "redis") for app in users if needs[app].redis]
    for service in SHARED:
        wanted += [(app, service) for app in users if service in needs[app].services]
    return {use: first + position for position, use in enumerate(wanted)}
