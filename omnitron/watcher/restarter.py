"""Restarts what runs of an app whose files have changed."""

from __future__ import annotations

import logging
from pathlib import PurePath
from typing import TYPE_CHECKING

from omnitron.systemd.manager import BusError

if TYPE_CHECKING:
    from omnitron.observe.policies import AppPolicy, StackPolicy
    from omnitron.systemd.manager import Manager

log = logging.getLogger(__name__)


async def restart(manager: Manager, stack: StackPolicy, app: AppPolicy, paths: list[str]) -> None:
    """Restart the services of `app` that run; one that has failed or was stopped is left alone."""
    patterns = [process.unit.replace("@.", "@*.") for process in app.processes]
    units = await manager.list_units(*patterns)
    up = ("active", "reloading", "activating")
    running = [unit.name for unit in units if unit.active in up and unit.job != "stop"]
    if not running:
        return
    log.info("%s of %s: %s restarts: %s changed", stack.stack, stack.project, app.name, _shown(paths, app))
    for name in running:
        try:
            # Saving often must not use up the number of starts that systemd allows.
            await manager.reset_failed(name)
            await manager.restart(name)
        except BusError as error:
            log.error("%s", error.brief)


def _shown(paths: list[str], app: AppPolicy) -> str:
    """Return what changed, for people: `app.py and 3 more`."""
    first = PurePath(paths[0])
    folders = app.watch.folders if app.watch else ()
    inside = next((folder for folder in folders if first.is_relative_to(folder) and first != PurePath(folder)), None)
    name = str(first.relative_to(inside)) if inside else str(first)
    return name if len(paths) == 1 else f"{name} and {len(paths) - 1} more"
