"""Reads the figures of one stack's services every interval, and keeps them for a while."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from omnitron.names import instance_of, instances_among
from omnitron.observe.cgroups import Details, folder_of, read_details, read_load, read_working_set
from omnitron.observe.snapshot import counted_by_systemd, records_of
from omnitron.policy.model import AppPolicy, ProcessPolicy, StackPolicy
from omnitron.systemd.units import UnitState
from omnitron.watcher.metrics.history import History
from omnitron.watcher.metrics.pending_calls import control_socket, pending_of

NO_DETAILS = Details(0, False, None, None, None, None, {})


@dataclass(frozen=True)
class Figures:
    """The present figures of one service; one that is down uses nothing."""

    app: str
    process: str
    instance: int | None
    unit: str
    cpu: float
    """Per cent of one CPU, over the last interval."""
    memory: int
    """Bytes."""
    restarts: int
    details: Details
    pending: int | None = None
    """Calls that are being served; None where that is not known, as of a program that is no process host."""
    is_up: bool = True


class Meter:
    """The figures of one stack."""

    def __init__(self, stack: StackPolicy, records: Path, *, is_user: bool) -> None:
        self.stack = stack
        self._records = records
        self._is_user = is_user
        self._size = stack.retention // max(1, stack.sample_interval)
        self._histories: dict[str, History] = {}
        self.due = 0.0
        """When the next sample is to be taken, in monotonic seconds."""

    def sample(self) -> None:
        """Take one sample of every service that runs."""
        now = time.monotonic()
        self.due = now + self.stack.sample_interval / 1000
        present = set()
        for _, process, unit in self._services():
            load = read_load(folder_of(process.slice, unit, is_user=self._is_user))
            if load:
                present.add(unit)
                self._histories.setdefault(unit, History(self._size)).add(now, *load)
        for unit in self._histories.keys() - present:
            # Its figures stay until it runs again: what led to its end is in them.
            if not any(unit == known for _, _, known in self._services()):
                del self._histories[unit]

    def histories(self) -> dict[str, History]:
        """Return what is kept, by service."""
        return dict(self._histories)

    def working_set(self, process: ProcessPolicy, unit: str) -> int | None:
        """Return the memory that a service cannot do without, in bytes; None where it does not run."""
        return read_working_set(folder_of(process.slice, unit, is_user=self._is_user))

    def figures(self) -> list[Figures]:
        """Return the present figures of what runs: the rarer ones are read now."""
        restarts = {
            unit: known.restarts
            for record in records_of(self.stack, self._records)
            for unit, known in record.units.items()
        }
        running = {unit: UnitState(unit, "active") for _, _, unit in self._services()}
        counted = counted_by_systemd([self.stack], running, is_user=self._is_user)
        restarts |= {unit: known.restarts for unit, known in counted.items()}
        found, asked = [], {}
        for app, process, unit in self._services():
            folder, number = folder_of(process.slice, unit, is_user=self._is_user), instance_of(unit)
            one = Figures(app.name, process.name, number, unit, 0.0, 0, restarts.get(unit, 0), NO_DETAILS, is_up=False)
            if load := read_load(folder):
                history = self._histories.get(unit)
                cpu = history.cpu[-1] if history and history.cpu else 0.0
                one = replace(one, cpu=cpu, memory=load[1], details=read_details(folder), is_up=True)
                if process.control:
                    asked[unit] = control_socket(self._records.parent, process, unit)
            if one.is_up or app.enabled:
                found.append(one)
        pending = pending_of(asked)
        return [replace(one, pending=pending.get(one.unit)) for one in found]

    def _services(self) -> Iterator[tuple[AppPolicy, ProcessPolicy, str]]:
        for app in self.stack.apps:
            for process in app.processes:
                for unit in self._units(process):
                    yield app, process, unit

    def _units(self, process: ProcessPolicy) -> list[str]:
        """Return the services of a process; of a pool those that have a cgroup too, for `scale` may have added some."""
        if process.instances is None:
            return [process.unit]
        folder = folder_of(process.slice, "", is_user=self._is_user)
        try:
            names = [path.name for path in Path(folder).iterdir()]
        except OSError:
            names = []
        mine = instances_among(names, process.unit)
        return sorted(mine.union(process.services), key=lambda name: instance_of(name) or 0)
