"""The context of a process: its identity and facilities, passed to hooks, `setup` and constructors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from omnitron.host.rpc.calls import detached

if TYPE_CHECKING:
    from omnitron.host.config import Config
    from omnitron.host.telemetry.metrics import Registry

CANCEL_WAIT_S = 2.0
"""Longest time for background tasks to end when they are cancelled."""


class Context:
    """One process of an app: its identity (attributes) and what it can use (methods)."""

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
        """Create the context; done only by the host."""
        self.project = project
        self.stack = stack
        self.app = app
        self.process = process
        self.instance = instance
        """The number of this instance in its pool, from 1; None outside a pool."""
        self.version = version
        self.config = config
        self.metrics = metrics
        self.logger = logging.getLogger(app)
        self.services: Mapping[str, object] = {}
        """The services of this process, by name."""
        self.failed: asyncio.Future[BaseException] | None = None
        """Set by the host; its result is the error that ended a background task."""
        self._topology = topology
        self._publish = publish
        self._tasks: set[asyncio.Task[Any]] = set()

    def topology(self, service: str, interface: Any = None) -> Any:
        """Return a proxy for a service of another process; `interface` is a class whose methods describe it."""
        return self._topology(service, interface)

    def publish(self, topic: str, data: Any) -> int:
        """Send `data` to the WebSocket clients of this process subscribed to `topic`; return their number."""
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
        """Cancel the background tasks, and wait for their end, at most CANCEL_WAIT_S seconds."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CANCEL_WAIT_S)
