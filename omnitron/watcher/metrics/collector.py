"""Figures of all stacks: taken in time, told to whoever asks, and acted on where a pool follows its load."""

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
from omnitron.watcher.autoscaler.autoscaler import Scaler
from omnitron.watcher.metrics import exposition
from omnitron.watcher.metrics.sampler import Meter

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from omnitron.policy.model import StackPolicy
    from omnitron.systemd.manager import Manager
    from omnitron.watcher.http_server import Answer
    from omnitron.watcher.metrics.exposition import Stacks

log = logging.getLogger(__name__)

PROMETHEUS = "text/plain; version=0.0.4"
SHORTEST_SAMPLE_S = 0.2
"""Least time between two rounds of samples, whatever a definition says."""


class Metering:
    """The meters and scalers of all stacks.

    `manager` is the connection to act on, None while there is none; `is_busy` tells, by its stem, whether a stack
    is in a recovery, in which it is not scaled.
    """

    def __init__(self, records: Path, is_busy: Callable[[str], bool], *, is_user: bool) -> None:
        self.manager: Manager | None = None
        self._records = records
        self._is_busy = is_busy
        self._is_user = is_user
        self._meters: dict[str, Meter] = {}
        self._scalers: dict[str, Scaler] = {}
        self._scaling: dict[str, asyncio.Task[None]] = {}
        self._loaded = asyncio.Event()

    @property
    def answers(self) -> Mapping[str, Answer]:
        """What can be asked, by path."""
        return {"/metrics": self.prometheus, "/metrics.json": self._aggregated, "/history.json": self._histories}

    def load(self, stacks: Sequence[StackPolicy]) -> None:
        """Take figures of these stacks; one whose policy is as before keeps what it has."""
        meters, scalers = {}, {}
        for stack in stacks:
            meter, scaler = self._meters.get(stack.stem), self._scalers.get(stack.stem)
            same = meter is not None and scaler is not None and meter.stack == stack
            meters[stack.stem] = meter if same and meter else Meter(stack, self._records, is_user=self._is_user)
            scalers[stack.stem] = scaler if same and scaler else Scaler(stack, self._records.parent)
        self._meters, self._scalers = meters, scalers
        self._loaded.set()

    def disconnected(self) -> None:
        """Give up what waits for an answer: it was said on the connection that is gone, or never will be."""
        self.manager = None
        for task in self._scaling.values():
            task.cancel()

    async def run(self) -> None:
        """Take samples when they are due, until cancelled."""
        while True:
            for stem, meter in [*self._meters.items()]:
                if meter.due <= time.monotonic():
                    await _sample(meter)
                    self._scale(stem, meter)
            due = min((meter.due for meter in self._meters.values()), default=math.inf)
            pause = max(SHORTEST_SAMPLE_S, due - time.monotonic())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if math.isinf(pause) else pause):
                    await self._loaded.wait()
            self._loaded.clear()

    def _scale(self, stem: str, meter: Meter) -> None:
        """Let the scaler of a stack look, beside everything else; one look at a time."""
        scaler, under_way = self._scalers.get(stem), self._scaling.get(stem)
        if self.manager is None or scaler is None or self._is_busy(stem):
            return
        if under_way is None or under_way.done():
            self._scaling[stem] = asyncio.create_task(_look_at_load(scaler, self.manager, meter))

    async def figures(self) -> Stacks:
        """Return the present figures of what runs."""
        meters = [*self._meters.values()]
        return [(meter.stack, await asyncio.to_thread(meter.figures)) for meter in meters]

    async def prometheus(self, stems: Collection[str] | None = None) -> tuple[str, bytes]:
        """Return the figures of some stacks, of all without `stems`, in Prometheus' text format, and its name."""
        found = [(stack, of) for stack, of in await self.figures() if stems is None or stack.stem in stems]
        return PROMETHEUS, exposition.prometheus(found).encode()

    async def _aggregated(self) -> tuple[str, bytes]:
        data = exposition.aggregated(await self.figures(), timestamp=round(time.time() * 1000))
        return "application/json", json.dumps(data).encode()

    async def _histories(self) -> tuple[str, bytes]:
        kept = [(meter.stack, meter.histories()) for meter in self._meters.values()]
        return "application/json", await asyncio.to_thread(lambda: json.dumps(exposition.histories(kept)).encode())


async def _sample(meter: Meter) -> None:
    try:
        await asyncio.to_thread(meter.sample)
    except Exception:  # one stack's figures must not be the end of all others'
        log.exception("cannot take figures of %s", meter.stack.stem)


async def _look_at_load(scaler: Scaler, manager: Manager, meter: Meter) -> None:
    try:
        await scaler.look(manager, meter)
    except OmnitronError as error:
        log.error("%s", error.brief)
    except Exception:  # the next look may go better
        log.exception("cannot scale %s", scaler.stack.stem)
