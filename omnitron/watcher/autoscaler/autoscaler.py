"""Grows and shrinks the pools of one stack that follow the load."""

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
    from omnitron.watcher.metrics.sampler import Meter

log = logging.getLogger(__name__)

START_PATIENCE_S = 120.0
"""How long a new instance may take before it counts as failed."""


class Scaler:
    """The pools of one stack. What it did is seen in what runs; only the times are kept here."""

    def __init__(self, stack: StackPolicy, runtime: Path) -> None:
        self.stack = stack
        self._runtime = runtime
        self._pools = [process for app in stack.apps for process in app.processes if process.scaling]
        self._past: dict[str, Past] = {}

    async def look(self, manager: Manager, meter: Meter) -> None:
        """Decide for each pool, and do it; nothing while the stack is not up."""
        if not self._pools:
            return
        for pool in self._pools:
            units = await self._units(manager)
            if units:
                await self._scale(manager, pool, units, meter)

    async def _units(self, manager: Manager) -> dict[str, UnitState]:
        """Return the units of the stack; none while it is not up, or about to stop."""
        units = {unit.name: unit for unit in await manager.list_units(*unit_patterns(self.stack))}
        target = units.get(self.stack.target)
        return units if target and target.active == "active" and not target.job else {}

    async def _scale(self, manager: Manager, pool: ProcessPolicy, units: dict[str, UnitState], meter: Meter) -> None:
        running = [name for name in services_of(pool, units) if name in units and units[name].active == "active"]
        busy = [name for name in services_of(pool, units) if name in units and units[name].job]
        if busy or pool.scaling is None or pool.instances is None:
            return  # something of it starts or stops: look again when it has
        scaling = pool.scaling
        rules = Rules(
            pool.instances,
            scaling.max_instances,
            scaling.target_cpu,
            scaling.target_memory,
            scaling.queue_threshold,
            scaling.cooldown / 1000,
        )
        load = await asyncio.to_thread(self._load, pool, running, meter)
        past = self._past.get(pool.unit, Past())
        decision = decide(rules, load, past, time.monotonic())
        if decision is None:
            return
        name = f"{self.stack.stack} of {self.stack.project}: {pool.unit.partition('@')[0]}"
        log.info("%s: from %d to %d instances: %s", name, len(running), decision.instances, decision.reason)
        given_up = {name for name in services_of(pool, units) if name in units and units[name].active == "failed"}
        failed = await self._change(manager, pool, running, given_up, decision.instances)
        for unit, why in failed:
            log.error("%s: %s: %s", name, unit, why)
        self._past[pool.unit] = Past(time.monotonic(), past.failures + 1 if failed else 0)

    def _load(self, pool: ProcessPolicy, running: list[str], meter: Meter) -> Load:
        histories = meter.histories()
        known = [name for name in running if name in histories and histories[name].cpu]
        cpu = _mean(histories[name].cpu[-1] for name in known)
        memory = None
        if pool.scaling and pool.scaling.memory_max:
            share = _mean(held for name in known if (held := meter.working_set(pool, name)) is not None)
            memory = 100 * share / pool.scaling.memory_max if share is not None else None
        pending = None
        if pool.control:
            answers = pending_of({name: control_socket(self._runtime, pool, name) for name in running})
            pending = sum(answers.values()) if answers else None
        return Load(len(running), cpu, memory, pending)

    async def _change(
        self, manager: Manager, pool: ProcessPolicy, running: list[str], given_up: set[str], count: int
    ) -> list[tuple[str, str]]:
        """Start the first free numbers, or stop the highest, one after the other; return what did not work.

        What was given up is not started again: that is for whoever removes the cause.
        """
        if count < len(running):
            # It drains before it ends: its own stop timeout is its time for that.
            by_number = sorted(running, key=lambda name: instance_of(name) or 0)
            jobs = [(manager.stop, name) for name in by_number[count:]]
        else:
            free = free_numbers(pool, running, given_up)[: count - len(running)]
            jobs = [(manager.start, pool.service(number)) for number in free]
        failed: list[tuple[str, str]] = []
        if not jobs:
            failed.append((pool.unit, f"no instance is left to start: {len(given_up)} were given up (omnitron why)"))
        for queue, unit in jobs:
            if failed or not await self._units(manager):
                break
            try:
                end = await asyncio.wait_for(await queue(unit), START_PATIENCE_S)
                if end.result not in ("done", "skipped"):
                    failed.append((unit, end.result))
            except TimeoutError:
                failed.append((unit, "it takes too long"))
            except BusError as error:
                failed.append((unit, error.brief))
        return failed


def free_numbers(pool: ProcessPolicy, running: Iterable[str], given_up: Iterable[str]) -> list[int]:
    """Return the numbers of the instances that may be started, the lowest first."""
    most = pool.scaling.max_instances if pool.scaling else 0
    taken = {instance_of(name) for name in (*running, *given_up)}
    return [number for number in range(1, max(most, pool.instances or 0) + 1) if number not in taken]


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return sum(found) / len(found) if found else None
