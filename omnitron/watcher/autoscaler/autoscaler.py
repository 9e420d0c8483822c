"""Scales the pools of one stack by their load."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

from omnitron.names import instance_of
from omnitron.observe.snapshot import services_of, unit_patterns
from omnitron.systemd.manager import BusError
from omnitron.watcher.autoscaler.rules import Load, Past, Rules, decide
from omnitron.watcher.metrics.pending_calls import control_socket, pending_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from omnitron.policy.model import ProcessPolicy, StackPolicy
    from omnitron.systemd.manager import Manager
    from omnitron.systemd.units import UnitState
    from omnitron.watcher.metrics.sampler import Sampler

log = logging.getLogger(__name__)

START_PATIENCE_S = 120.0
"""Time limit for the start of a new instance, after which it counts as failed."""


class Autoscaler:
    """The pools of one stack. Only times of changes are stored here; the units show the number of instances."""

    def __init__(self, stack: StackPolicy, runtime: Path) -> None:
        self.stack = stack
        self._runtime = runtime
        self._pools = [process for app in stack.apps for process in app.processes if process.scaling]
        self._past: dict[str, Past] = {}

    async def look(self, manager: Manager, sampler: Sampler) -> None:
        """Scale each pool by its load; do nothing while the stack is not up."""
        if not self._pools:
            return
        for pool in self._pools:
            units = await self._units(manager)
            if units:
                await self._scale(manager, pool, units, sampler)

    async def _units(self, manager: Manager) -> dict[str, UnitState]:
        """Return the units of the stack; none if it is not up or about to stop."""
        units = {unit.name: unit for unit in await manager.list_units(*unit_patterns(self.stack))}
        target = units.get(self.stack.target)
        return units if target and target.active == "active" and not target.job else {}

    async def _scale(
        self, manager: Manager, pool: ProcessPolicy, units: dict[str, UnitState], sampler: Sampler
    ) -> None:
        running = [name for name in services_of(pool, units) if name in units and units[name].active == "active"]
        busy = [name for name in services_of(pool, units) if name in units and units[name].job]
        if busy or pool.scaling is None or pool.instances is None:
            return  # an instance starts or stops: decide at the next look
        scaling = pool.scaling
        rules = Rules(
            pool.instances,
            scaling.max_instances,
            scaling.target_cpu,
            scaling.target_memory,
            scaling.queue_threshold,
            scaling.cooldown / 1000,
        )
        load = await asyncio.to_thread(self._load, pool, running, sampler)
        past = self._past.get(pool.unit, Past())
        decision = decide(rules, load, past, time.monotonic())
        if decision is None:
            return
        name = f"{self.stack.stack} of {self.stack.project}: {pool.unit.partition('@')[0]}"
        log.info("%s: from %d to %d instances: %s", name, len(running), decision.instances, decision.reason)
        states = {name: units[name].active for name in services_of(pool, units) if name in units}
        failed = {name for name, state in states.items() if state == "failed"}
        problems = await self._change(manager, pool, running, failed, decision.instances)
        for unit, why in problems:
            log.error("%s: %s: %s", name, unit, why)
        self._past[pool.unit] = Past(time.monotonic(), past.failures + 1 if problems else 0)

    def _load(self, pool: ProcessPolicy, running: list[str], sampler: Sampler) -> Load:
        histories = sampler.histories()
        sampled = [name for name in running if name in histories and histories[name].cpu]
        cpu = _mean(histories[name].cpu[-1] for name in sampled)
        memory = None
        if pool.scaling and pool.scaling.memory_max:
            used = _mean(size for name in sampled if (size := sampler.working_set(pool, name)) is not None)
            memory = 100 * used / pool.scaling.memory_max if used is not None else None
        pending = None
        if pool.control:
            answers = pending_of({name: control_socket(self._runtime, pool, name) for name in running})
            pending = sum(answers.values()) if answers else None
        return Load(len(running), cpu, memory, pending)

    async def _change(
        self, manager: Manager, pool: ProcessPolicy, running: list[str], failed: set[str], count: int
    ) -> list[tuple[str, str]]:
        """Start the lowest free numbers, or stop the highest, one after the other; return the failures.

        Failed instances are not started again: an operator has to remove the cause first.
        """
        if count < len(running):
            # No timeout for a stop: an instance finishes its calls within its own stop timeout.
            by_number = sorted(running, key=lambda name: instance_of(name) or 0)
            jobs = [(manager.stop, name) for name in by_number[count:]]
        else:
            free = free_numbers(pool, running, failed)[: count - len(running)]
            jobs = [(manager.start, pool.service(number)) for number in free]
        problems: list[tuple[str, str]] = []
        if not jobs:
            problems.append((pool.unit, f"no instance is left to start: {len(failed)} have failed (see omnitron why)"))
        for queue, unit in jobs:
            if problems or not await self._units(manager):
                break
            try:
                end = await asyncio.wait_for(await queue(unit), START_PATIENCE_S)
                if end.result not in ("done", "skipped"):
                    problems.append((unit, end.result))
            except TimeoutError:
                problems.append((unit, f"it did not start or stop within {START_PATIENCE_S:g} s"))
            except BusError as error:
                problems.append((unit, error.brief))
        return problems


def free_numbers(pool: ProcessPolicy, running: Iterable[str], failed: Iterable[str]) -> list[int]:
    """Return the numbers of the instances that may be started, the lowest first."""
    most = pool.scaling.max_instances if pool.scaling else 0
    used = {instance_of(name) for name in (*running, *failed)}
    return [number for number in range(1, max(most, pool.instances or 0) + 1) if number not in used]


def _mean(values: Iterable[float]) -> float | None:
    numbers = list(values)
    return sum(numbers) / len(numbers) if numbers else None
