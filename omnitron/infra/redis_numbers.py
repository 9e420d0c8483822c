"""The numbered databases of a Redis server that the apps of a stack use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import count

from omnitron import names
from omnitron.definition.ecosystem import Stack
from omnitron.infra.needs import Needs
from omnitron.infra.ports import OFFSETS, name_hash

DEFAULT_LIMIT = 16
RANGE = 5
STARTS = {name: RANGE * position for position, name in enumerate(OFFSETS)}
GATEWAY = (names.GATEWAY, "maintenance")
"""The use of the stack's gateway."""
SHARED = ("discovery", "notifications", "priceverse")
"""Services that have a database of their own for each app that wants them, after those of the apps."""


def first_of(stack: str, settings: Stack) -> int:
    """Return the first number of a stack."""
    if settings.settings.redis_db_offset is not None:
        return settings.settings.redis_db_offset
    return STARTS.get(stack, (4 + name_hash(stack) % 12) * RANGE)


def label(use: tuple[str, str]) -> str:
    """Return the name under which the number of a use is remembered."""
    return "/".join(use)


def assign(
    first: int, needs: Mapping[str, Needs], users: Iterable[str], *, gateway: bool, before: Mapping[str, int]
) -> dict[tuple[str, str], int]:
    """Return the number for each use of one server, by app and purpose (`redis`, or the name of a shared service).

    Who has a number keeps it, whoever comes or goes: its data is there. `before` are those that were given out.
    """
    users = list(users)
    uses = [(app, "redis") for app in users if needs[app].redis]
    for service in SHARED:
        uses += [(app, service) for app in users if service in needs[app].services]
    if gateway:
        uses.append(GATEWAY)
    reused = {use: before[label(use)] for use in uses if before.get(label(use), -1) >= first}
    free = (number for number in count(first) if number not in reused.values())
    return {use: reused[use] if use in reused else next(free) for use in uses}
