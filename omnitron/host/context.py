"""What a process knows of itself: handed to hooks, to `setup`, and to constructors that ask for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from omnitron.host.rpc.calls import detached

if TYPE_CHECKING:
    from omnitron.host.config import Config
    from omnitron.host.telemetry.metrics import Registry

LAST_WORDS_S = 2.0
"""Longest time for background tasks to end when they are cancelled."""


class Context:
    """One process of an app. Attributes say who it is, methods what it can have."""

    def __init__(
        self,
        *,
        project: str,
        stack: str,
        app: str,
        process: str,
        instance: int | None,
        version: str | None,
        config: Config,
        metrics: Registry,
        topology: Callable[[str, Any], Any],
        publish: Callable[[str, Any], int] = lambda topic, data: 0,
    ) -> None:
        """Is made by the host alone."""
        self.project = project
        self.stack = stack
        self.app = app
        self.process = process
        self.instance = instance
        """Which instance of a pool this is, from 1; None outside of one."""
        self.version = version
        self.config = config
        self.metrics = metrics
        self.logger = logging.getLogger(app)
        self.services: Mapping[str, object] = {}
        """The services of this process, by name."""
        self.failed: asyncio.Future[BaseException] | None = None
        """Set by the host: what a background task has died of."""
        self._topology = topology
        self._publish = publish
        self._tasks: set[asyncio.Task[Any]] = set()

    def topology(self, service: str, interface: Any = None) -> Any:
        """Return a proxy for a service of another process; `interface` is a class whose methods describe it."""
        return self._topology(service, interface)

    def publish(self, topic: str, data: Any) -> int:
        """Send `data` to the WebSocket clients of this process that subscribed to `topic`; how many there are."""
        return self._publish(topic, data)

    def spawn(self, work: Coroutine[Any, Any, Any], name: str | None = None) -> asyncio.Task[Any]:
        """Run `work` in the background until it ends or the process stops; when it raises, the process fails."""
        task = asyncio.create_task(work, name=name, context=detached())
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if self.failed and not self.failed.done():
            self.failed.set_result(error)
        else:
            self.logger.error("a background task has failed", exc_info=error)

    async def cancel_tasks(self) -> None:
        """Cancel what runs in the background, and wait until it has gone: not for long, it may not want to."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=LAST_WORDS_S)
