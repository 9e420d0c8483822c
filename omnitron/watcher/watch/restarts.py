"""Restarts the running services of an app when its files change."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

from omnitron.errors import OmnitronError
from omnitron.names import pool_pattern
from omnitron.systemd.manager import BusError

if TYPE_CHECKING:
    from omnitron.policy.model import AppPolicy, StackPolicy, WatchPolicy
    from omnitron.systemd.manager import Manager
    from omnitron.watcher.watch.inotify import Files, Key

log = logging.getLogger(__name__)

COOLDOWN_S = 3.0
"""Shortest time between two restarts of an app, in case it writes files that it watches."""
UP = ("active", "reloading", "activating")


class Reloader:
    """Watches the files of all stacks. `manager` is the connection for jobs, None while there is none."""

    def __init__(self) -> None:
        self.manager: Manager | None = None
        self._apps: dict[Key, tuple[StackPolicy, AppPolicy]] = {}
        self._watched: Mapping[Key, WatchPolicy] = {}
        self._files: Files | None = None
        self._last: dict[Key, float] = {}
        self._waiting: dict[Key, list[str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def watch(self, stacks: Sequence[StackPolicy]) -> None:
        """Watch the folders of these stacks. Unchanged watches stay: a new setup would miss changes."""
        self._apps = {(stack.stem, app.name): (stack, app) for stack in stacks for app in stack.apps if app.watch}
        watched = {key: app.watch for key, (_, app) in self._apps.items() if app.watch}
        if watched == self._watched:
            return
        self._watched = watched
        self.close()
        if not watched:
            return
        # Imported here: only hosts with development stacks need it.
        from omnitron.watcher.watch.inotify import LIMITS, Files

        try:
            self._files = Files(self.changed)
        except OSError as error:
            log.error("cannot watch files: %s", LIMITS.get(error.errno or 0) or error.strerror or error)
            self._watched = {}
            return
        # In a thread: large trees take a while, and supervision must continue.
        self._start(asyncio.create_task(asyncio.to_thread(self._files.watch, watched)))

    def close(self) -> None:
        """Stop watching."""
        if self._files:
            self._files.close()
            self._files = None

    def changed(self, key: Key, paths: list[str]) -> None:
        """Restart an app because `paths` changed: now, or once for all changes at the end of its cooldown."""
        waiting = self._waiting.get(key)
        if waiting is not None:
            waiting += paths
            return
        loop = asyncio.get_running_loop()
        left = self._last.get(key, -math.inf) + COOLDOWN_S - loop.time()
        self._waiting[key] = [*paths]
        loop.call_later(max(0.0, left), self._restart, key)

    def _restart(self, key: Key) -> None:
        paths = self._waiting.pop(key)
        self._last[key] = asyncio.get_running_loop().time()
        if self.manager and key in self._apps:
            self._start(asyncio.create_task(_restart(self.manager, *self._apps[key], paths)))

    def _start(self, task: asyncio.Task[None]) -> None:
        """Reference a task until it is done: the loop itself does not."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _restart(manager: Manager, stack: StackPolicy, app: AppPolicy, paths: list[str]) -> None:
    """Restart the running services of `app`; failed, stopped and stopping ones are not changed."""
    try:
        units = await manager.list_units(*(pool_pattern(process.unit) for process in app.processes))
        running = [unit.name for unit in units if unit.active in UP and unit.job != "stop"]
        if running:
            log.info("%s of %s: %s restarts: %s changed", stack.stack, stack.project, app.name, _shown(paths, app))
        for name in running:
            # Frequent saving of files must not reach the start limit of systemd.
            await manager.reset_failed(name)
            await manager.restart(name)
    except BusError as error:
        log.error("%s", error.brief)
    except OmnitronError as error:
        log.error("%s: %s is not restarted", error.brief, app.name)


def _shown(paths: list[str], app: AppPolicy) -> str:
    """Return the changed paths as text for people: `app.py and 3 more`."""
    first, count = PurePath(paths[0]), len(dict.fromkeys(paths))
    folders = app.watch.folders if app.watch else ()
    inside = next((folder for folder in folders if first.is_relative_to(folder) and first != PurePath(folder)), None)
    name = str(first.relative_to(inside)) if inside else str(first)
    return name if count == 1 else f"{name} and {count - 1} more"
