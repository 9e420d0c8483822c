"""Metrics of all stacks: sampled at intervals, served on request, and used to scale pools."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING

from omnitron.errors import OmnitronError
from omnitron.watcher.autoscaler.autoscaler import Autoscaler
from omnitron.watcher.metrics import exposition
from omnitron.watcher.metrics.sampler import Sampler

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from omnitron.policy.model import StackPolicy
    from omnitron.systemd.manager import Manager
    from omnitron.watcher.http_server import Answer
    from omnitron.watcher.metrics.exposition import Stacks

log = logging.getLogger(__name__)

PROMETHEUS = "text/plain; version=0.0.4"
SHORTEST_SAMPLE_S = 0.2
"""Shortest time between two rounds of samples, for any definition."""


class Collector:
    """The samplers and autoscalers of all stacks.

    `manager` is the connection for jobs, None while there is none; `is_busy` returns whether a stack, by its stem,
    is in a recovery: then it is not scaled.
    """

    def __init__(self, records: Path, is_busy: Callable[[str], bool], *, is_user: bool) -> None:
        self.manager: Manager | None = None
        self._records = records
        self._is_busy = is_busy
        self._is_user = is_user
        self._samplers: dict[str, Sampler] = {}
        self._autoscalers: dict[str, Autoscaler] = {}
        self._scaling: dict[str, asyncio.Task[None]] = {}
        self._loaded = asyncio.Event()

    @property
    def answers(self) -> Mapping[str, Answer]:
        """Answers by path."""
        return {"/metrics": self.prometheus, "/metrics.json": self._aggregated, "/history.json": self._histories}

    def load(self, stacks: Sequence[StackPolicy]) -> None:
        """Sample these stacks from now on; a stack with an unchanged policy keeps its samples."""
        samplers, autoscalers = {}, {}
        for stack in stacks:
            sampler, autoscaler = self._samplers.get(stack.stem), self._autoscalers.get(stack.stem)
            same = sampler is not None and autoscaler is not None and sampler.stack == stack
            samplers[stack.stem] = sampler if same and sampler else Sampler(stack, self._records, is_user=self._is_user)
            autoscalers[stack.stem] = autoscaler if same and autoscaler else Autoscaler(stack, self._records.parent)
        self._samplers, self._autoscalers = samplers, autoscalers
        self._loaded.set()

    def disconnected(self) -> None:
        """Cancel pending changes of pools: their answers would come on the closed connection."""
        self.manager = None
        for task in self._scaling.values():
            task.cancel()

    async def run(self) -> None:
        """Take samples when they are due, until cancelled."""
        while True:
            for stem, sampler in [*self._samplers.items()]:
                if sampler.due <= time.monotonic():
                    await _sample(sampler)
                    self._scale(stem, sampler)
            due = min((sampler.due for sampler in self._samplers.values()), default=math.inf)
            pause = max(SHORTEST_SAMPLE_S, due - time.monotonic())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if math.isinf(pause) else pause):
                    await self._loaded.wait()
            self._loaded.clear()

    def _scale(self, stem: str, sampler: Sampler) -> None:
        """Start a look of the autoscaler in a task of its own; one at a time for each stack."""
        autoscaler, under_way = self._autoscalers.get(stem), self._scaling.get(stem)
        if self.manager is None or autoscaler is None or self._is_busy(stem):
            return
        if under_way is None or under_way.done():
            self._scaling[stem] = asyncio.create_task(_look_at_load(autoscaler, self.manager, sampler))

    async def figures(self) -> Stacks:
        """Return the present figures of all services."""
        samplers = [*self._samplers.values()]
        return [(sampler.stack, await asyncio.to_thread(sampler.figures)) for sampler in samplers]

    async def prometheus(self, stems: Collection[str] | None = None) -> tuple[str, bytes]:
        """Return content type and text for Prometheus, of the stacks with these stems, of all for None."""
        stacks = [(stack, figures) for stack, figures in await self.figures() if stems is None or stack.stem in stems]
        return PROMETHEUS, exposition.prometheus(stacks).encode()

    async def _aggregated(self) -> tuple[str, bytes]:
        data = exposition.aggregated(await self.figures(), timestamp=round(time.time() * 1000))
        return "application/json", json.dumps(data).encode()

    async def _histories(self) -> tuple[str, bytes]:
        histories = [(sampler.stack, sampler.histories()) for sampler in self._samplers.values()]
        return "application/json", await asyncio.to_thread(lambda: json.dumps(exposition.histories(histories)).encode())


async def _sample(sampler: Sampler) -> None:
    try:
        await asyncio.to_thread(sampler.sample)
    except Exception:  # a failure in one stack must not affect the others
        log.exception("cannot sample %s", sampler.stack.stem)


async def _look_at_load(autoscaler: Autoscaler, manager: Manager, sampler: Sampler) -> None:
    try:
        await autoscaler.look(manager, sampler)
    except OmnitronError as error:
        log.error("%s", error.brief)
    except Exception:  # the next look may succeed
        log.exception("cannot scale %s", autoscaler.stack.stem)
