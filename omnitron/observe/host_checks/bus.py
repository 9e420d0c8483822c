"""True if the manager answers on its bus."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from omnitron.errors import OmnitronError
from omnitron.observe.host_checks.finding import Finding
from omnitron.observe.host_checks.subject import Subject
from omnitron.systemd import local
from omnitron.systemd.manager import Manager


def check(subject: Subject) -> Iterator[Finding]:
    """Look whether the manager answers on its bus."""
    if not local.is_booted():
        return
    try:
        asyncio.run(_connect(subject.is_user))
    except OmnitronError as error:
        package = "dbus-user-session" if subject.is_user else "dbus"
        is_there = local.bus_path(subject.is_user).exists()
        yield Finding("bus", "fail", error.brief, error.hint if is_there else f"apt install {package}; {error.hint}")
        return
    yield Finding("bus", "ok", f"{'your manager' if subject.is_user else 'systemd'} answers")


async def _connect(is_user: bool) -> None:
    async with Manager(is_user=is_user):
        pass
