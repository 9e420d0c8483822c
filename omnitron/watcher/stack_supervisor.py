"""One stack: look at it, decide, remember, act."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from omnitron.observe.snapshot import records_of, unit_patterns
from omnitron.supervision.rules.strategy import IDLE
from omnitron.supervision.state import group_state, operator_stop
from omnitron.supervision.state.group_state import Memory
from omnitron.systemd.manager import BusError
from omnitron.watcher import unrecorded_exits
from omnitron.watcher.crash_events import ended_alone, first_memory
from omnitron.watcher.decisions import Job, judge
from omnitron.watcher.stack_view import View, view_of

if TYPE_CHECKING:
    from omnitron.policy.model import InstalledPolicy
    from omnitron.supervision.state.crash_record import Record
    from omnitron.systemd.manager import Manager
    from omnitron.systemd.units import UnitState

log = logging.getLogger(__name__)

REFUSED_FOR_GOOD = ("NoSuchUnit", "UnitMasked", "OnlyByDependency", "LoadFailed", "BadUnitSetting", "NotReferenced")
"""Errors of systemd that will be the same the next time."""
AGAIN_S = 10.0
"""How soon the same unit is started again when the start of it changed nothing."""


@dataclass(frozen=True)
class Sight:
    """One stack at one moment: its units, its crash records, and what the watcher has in mind."""

    stack: InstalledPolicy
    units: dict[str, UnitState]
    records: list[Record]
    memory: Memory


class Keeper:
    """Keeps one stack as its strategy says. Whatever ends it, the next one goes on from its memory."""

    def __init__(self, stack: InstalledPolicy, records: Path, clock: Callable[[], float] = time.time) -> None:
        self.stack = stack
        self._records = records
        self._clock = clock
        self._path = group_state.path_of(records, stack.prefix_part, stack.stem)
        self._folder = str(self._path.parent)
        self._memory: Memory | None = group_state.read(self._path)
        self._written = self._memory
        self._asked: set[str] = set()
        self._unblocked: dict[str, float] = {}
        self._said = ""

    @property
    def keeps_group(self) -> bool:
        """Whether the crash of one process is a matter of others."""
        return self.stack.strategy != "one_for_one"

    @property
    def is_busy(self) -> bool:
        """Whether something was begun that is not finished."""
        memory = self._memory
        return memory is not None and (memory.recovery != IDLE or bool(memory.ending) or memory.is_undecided)

    async def look(self, manager: Manager) -> Sight:
        """See how the stack is now, do what follows from it, and return what was seen."""
        # Records first: whoever is active in what is read after them has come back since.
        records = records_of(self.stack, self._records)
        states = await manager.list_units(*unit_patterns(self.stack))
        held = operator_stop.stopped_units(self._folder, self.stack.stem)
        # What is left from an earlier recovery says nothing of the next one.
        meant = held if self._memory and self._memory.recovery != IDLE else frozenset()
        units = {unit.name: unit for unit in states}
        view = view_of(units, records, meant)
        before = self._memory or first_memory(view)
        untold = {*ended_alone(self.stack, before, view)}
        failing = await unrecorded_exits.failed_runs(
            manager, self._folder, [unit for unit in states if unit.name in untold]
        )
        memory, jobs = self._judge(before, replace(view, failing=failing))
        if not self._remember(memory) and failing:
            # The crash may come on record no more than this; a group that is not remembered is not taken down.
            memory, jobs = self._judge(before, view)
            self._remember(memory)
        self._asked &= set(memory.recovery.waiting)
        self._release(held)
        self._tell(before, memory)
        stops = {job.unit for job in jobs if job.verb == "stop"}
        services = [unit for unit in states if unit.name in stops and unit.name.endswith(".service")]
        await unrecorded_exits.note_stops(manager, self._folder, services, view)
        # All at once: the bus keeps their order, and systemd need not be waited for between two.
        done = await asyncio.gather(*(self._queue(manager, job) for job in jobs))
        queued = {job.unit for job, is_queued in zip(jobs, done, strict=True) if is_queued}
        if memory.ending:
            # Stops that are queued are remembered by systemd.
            left = tuple(unit for unit in memory.ending if unit not in queued)
            self._remember(replace(memory, ending=left))
        return Sight(self.stack, units, records, self._memory or memory)

    def _release(self, held: frozenset[str]) -> None:
        """Forget what is remembered otherwise by now, or was said too late."""
        if held:
            with contextlib.suppress(OSError):
                operator_stop.release(self._folder, held)

    def _judge(self, before: Memory, view: View) -> tuple[Memory, tuple[Job, ...]]:
        return judge(self.stack, before, view, frozenset(self._asked), self._clock())

    def _remember(self, memory: Memory) -> bool:
        """Whether it is written down. What is in this process holds in any case, until the watcher restarts."""
        self._memory = memory
        if memory == self._written:
            return True
        try:
            group_state.write(self._path, memory)
        except OSError as error:
            log.error("cannot write %s: %s", self._path, error.strerror or error)
            return False
        self._written = memory
        return True

    def _tell(self, before: Memory, after: Memory) -> None:
        name = f"{self.stack.stack} of {self.stack.project}"
        was, now = before.recovery, after.recovery
        if now.trigger and now.trigger != was.trigger:
            others = ", ".join(self._name(unit) for unit in now.pending)
            log.warning("%s: %s crashed; %s: %s go down", name, self._name(now.trigger), self.stack.strategy, others)
        if was != IDLE and now == IDLE and not after.ending:
            log.info("%s: the group runs again", name)
        for unit, reason in after.reasons.items():
            if unit not in before.reasons:
                log.error("%s: %s %s", name, self._name(unit), reason.text)

    def _name(self, unit: str) -> str:
        return str(self.stack.address_of(unit) or unit)

    async def _queue(self, manager: Manager, job: Job) -> bool:
        """Whether the job is queued, or will never be; else it is tried again."""
        is_waiting = self._memory is not None and job.unit in self._memory.recovery.waiting
        if job.verb == "start" and not is_waiting:
            now = time.monotonic()
            if now - self._unblocked.get(job.unit, -AGAIN_S) < AGAIN_S:
                return True
            self._unblocked[job.unit] = now
            log.info("%s of %s: start %s: %s", self.stack.stack, self.stack.project, job.unit, job.reason)
        try:
            await (manager.start if job.verb == "start" else manager.stop)(job.unit)
        except BusError as error:
            if error.brief != self._said:
                log.error("%s", error.brief)
            self._said = error.brief
            if error.name.rpartition(".")[2] not in REFUSED_FOR_GOOD:
                return False
        if job.verb == "start" and is_waiting:
            self._asked.add(job.unit)
        return True
