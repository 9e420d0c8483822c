"""A connection to the bus, and what all that have one need."""

from __future__ import annotations

import asyncio
import contextlib

from dbus_fast import BusType
from dbus_fast.aio import MessageBus
from dbus_fast.errors import AuthError

from omnitron.systemd import local

BUS = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")


async def connect(*, is_user: bool) -> MessageBus:
    """Connect to the system's bus, or the user's; raises SystemdUnreachableError."""
    path = local.bus_path(is_user)
    try:
        return await MessageBus(f"unix:path={path}", BusType.SYSTEM).connect()
    except (OSError, EOFError, AuthError) as error:
        reason = (getattr(error, "strerror", None) or str(error) or "the bus closed the connection").lower()
        raise local.unreachable(is_user, f"{path}: {reason}") from error


async def closed(bus: MessageBus) -> None:
    """Wait until the bus has closed the connection. To be cancelled at will: the library has one future for all."""
    with contextlib.suppress(Exception):
        await asyncio.shield(bus.wait_for_disconnect())  # type: ignore[no-untyped-call] # untyped in dbus-fast
