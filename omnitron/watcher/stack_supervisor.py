"""The supervisor of one stack: take a snapshot, decide, store the memory, queue jobs."""

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
from omnitron.watcher.crash_events import ended_without_job, first_memory
from omnitron.watcher.decisions import Job, judge
from omnitron.watcher.stack_view import GroupView, view_of

if TYPE_CHECKING:
    from omnitron.policy.model import InstalledPolicy
    from omnitron.supervision.state.crash_record import Record
    from omnitron.systemd.manager import Manager
    from omnitron.systemd.units import UnitState

log = logging.getLogger(__name__)

REFUSED_FOR_GOOD = ("NoSuchUnit", "UnitMasked", "OnlyByDependency", "LoadFailed", "BadUnitSetting", "NotReferenced")
"""Errors of systemd that a repeated call would get again."""
AGAIN_S = 10.0
"""Pause before the same unit is started again, if the last start had no effect."""


@dataclass(frozen=True)
class StackSnapshot:
    """One stack at one moment: its units, its crash records, and the memory of the watcher."""

    stack: InstalledPolicy
    units: dict[str, UnitState]
    records: list[Record]
    memory: Memory


class StackSupervisor:
    """Supervises one stack by its strategy. After a restart of the watcher, it continues from its stored memory."""

    def __init__(self, stack: InstalledPolicy, records: Path, clock: Callable[[], float] = time.time) -> None:
        self.stack = stack
        self._records = records
        self._clock = clock
        self._path = group_state.path_of(records, stack.prefix_part, stack.stem)
        self._folder = str(self._path.parent)
        self._memory: Memory | None = group_state.read(self._path)
        self._written = self._memory
        self._queued: set[str] = set()
        self._started_at: dict[str, float] = {}
        self._last_error = ""

    @property
    def has_group_strategy(self) -> bool:
        """True if the crash of one process affects others."""
        return self.stack.strategy != "one_for_one"

    @property
    def is_busy(self) -> bool:
        """True if a recovery or a stop is not finished."""
        memory = self._memory
        return memory is not None and (memory.recovery != IDLE or bool(memory.ending) or memory.is_undecided)

    async def look(self, manager: Manager) -> StackSnapshot:
        """Read the state of the stack, queue the jobs that follow from it, and return the snapshot."""
        # Records before states: a unit that is recorded as crashed and active in the states has restarted since.
        records = records_of(self.stack, self._records)
        states = await manager.list_units(*unit_patterns(self.stack))
        operator_stops = operator_stop.stopped_units(self._folder, self.stack.stem)
        # Notes that are left from an earlier recovery do not apply to the next one: outside of a recovery they are
        # ignored, and removed below.
        valid_stops = operator_stops if self._memory and self._memory.recovery != IDLE else frozenset()
        units = {unit.name: unit for unit in states}
        view = view_of(units, records, valid_stops)
        before = self._memory or first_memory(view)
        # Services that deactivate without a job may have crashed, and their helpers have recorded nothing yet. A helper
        # that asks systemd now gets its answer only after all other members have stopped. So the watcher reads the
        # result of the run itself, and notes it for the helper.
        crashing = {*ended_without_job(self.stack, before, view)}
        failing = await unrecorded_exits.failed_runs(
            manager, self._folder, [unit for unit in states if unit.name in crashing]
        )
        memory, jobs = self._judge(before, replace(view, failing=failing))
        if not self._remember(memory) and failing:
            # The memory cannot be written, and perhaps the crash record cannot either. Then the presumed crash does not
            # stop the group: a restarted watcher could not finish a recovery that is not stored.
            memory, jobs = self._judge(before, view)
            self._remember(memory)
        self._queued &= set(memory.recovery.waiting)
        self._forget(operator_stops)
        self._log_changes(before, memory)
        stops = {job.unit for job in jobs if job.verb == "stop"}
        services = [unit for unit in states if unit.name in stops and unit.name.endswith(".service")]
        await unrecorded_exits.note_stops(manager, self._folder, services, view)
        # All calls at once: the bus preserves their order, and no call waits for the answer to another.
        done = await asyncio.gather(*(self._queue(manager, job) for job in jobs))
        queued = {job.unit for job, is_queued in zip(jobs, done, strict=True) if is_queued}
        if memory.ending:
            # Queued stops are not lost: systemd has them. Only the others stay in the memory.
            left = tuple(unit for unit in memory.ending if unit not in queued)
            self._remember(replace(memory, ending=left))
        return StackSnapshot(self.stack, units, records, self._memory or memory)

    def _forget(self, operator_stops: frozenset[str]) -> None:
        """Remove the notes of operators: they are in the memory now, or came too late."""
        if operator_stops:
            with contextlib.suppress(OSError):
                operator_stop.release(self._folder, operator_stops)

    def _judge(self, before: Memory, view: GroupView) -> tuple[Memory, tuple[Job, ...]]:
        return judge(self.stack, before, view, frozenset(self._queued), self._clock())

    def _remember(self, memory: Memory) -> bool:
        """Store the memory; return False if it cannot be written. This process uses it in any case."""
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

    def _log_changes(self, before: Memory, after: Memory) -> None:
        name = f"{self.stack.stack} of {self.stack.project}"
        was, now = before.recovery, after.recovery
        if now.trigger and now.trigger != was.trigger:
            others = ", ".join(self._name(unit) for unit in now.pending)
            log.warning("%s: %s crashed; %s: stopping %s", name, self._name(now.trigger), self.stack.strategy, others)
        if was != IDLE and now == IDLE and not after.ending:
            log.info("%s: the group is running again", name)
        for unit, reason in after.reasons.items():
            if unit not in before.reasons:
                log.error("%s: %s %s", name, self._name(unit), reason.text)

    def _name(self, unit: str) -> str:
        return str(self.stack.address_of(unit) or unit)

    async def _queue(self, manager: Manager, job: Job) -> bool:
        """Queue a job; return False if it has to be tried again."""
        is_waiting = self._memory is not None and job.unit in self._memory.recovery.waiting
        if job.verb == "start" and not is_waiting:
            now = time.monotonic()
            if now - self._started_at.get(job.unit, -AGAIN_S) < AGAIN_S:
                return True
            self._started_at[job.unit] = now
            log.info("%s of %s: start %s: %s", self.stack.stack, self.stack.project, job.unit, job.reason)
        try:
            await (manager.start if job.verb == "start" else manager.stop)(job.unit)
        except BusError as error:
            if error.brief != self._last_error:
                log.error("%s", error.brief)
            self._last_error = error.brief
            if error.name.rpartition(".")[2] not in REFUSED_FOR_GOOD:
                return False
        if job.verb == "start" and is_waiting:
            self._queued.add(job.unit)
        return True
