"""Samples the services of one stack at intervals, and stores the samples for the retention time."""

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
    """Pending calls; None if the program is not a process host, or does not answer."""
    is_up: bool = True


class Sampler:
    """The sampler of one stack."""

    def __init__(self, stack: StackPolicy, records: Path, *, is_user: bool) -> None:
        self.stack = stack
        self._records = records
        self._is_user = is_user
        self._size = stack.retention // max(1, stack.sample_interval)
        self._histories: dict[str, History] = {}
        self.due = 0.0
        """Time of the next sample, in monotonic seconds."""

    def sample(self) -> None:
        """Take one sample of all running services."""
        now = time.monotonic()
        self.due = now + self.stack.sample_interval / 1000
        present = set()
        for _, process, unit in self._services():
            load = read_load(folder_of(process.slice, unit, is_user=self._is_user))
            if load:
                present.add(unit)
                self._histories.setdefault(unit, History(self._size)).add(now, *load)
        for unit in self._histories.keys() - present:
            # The history of a service that is down stays: it shows the time before its exit.
            if not any(unit == name for _, _, name in self._services()):
                del self._histories[unit]

    def histories(self) -> dict[str, History]:
        """Return the histories by service."""
        return dict(self._histories)

    def working_set(self, process: ProcessPolicy, unit: str) -> int | None:
        """Return the working set of a service in bytes: its memory without reclaimable cache; None if it is down."""
        return read_working_set(folder_of(process.slice, unit, is_user=self._is_user))

    def figures(self) -> list[Figures]:
        """Return the present figures of all services. Details are read now, not sampled."""
        restarts = {
            unit: entry.restarts
            for record in records_of(self.stack, self._records)
            for unit, entry in record.units.items()
        }
        running = {unit: UnitState(unit, "active") for _, _, unit in self._services()}
        counted = counted_by_systemd([self.stack], running, is_user=self._is_user)
        restarts |= {unit: entry.restarts for unit, entry in counted.items()}
        services, sockets = [], {}
        for app, process, unit in self._services():
            folder, number = folder_of(process.slice, unit, is_user=self._is_user), instance_of(unit)
            count = restarts.get(unit, 0)
            service = Figures(app.name, process.name, number, unit, 0.0, 0, count, NO_DETAILS, is_up=False)
            if load := read_load(folder):
                history = self._histories.get(unit)
                cpu = history.cpu[-1] if history and history.cpu else 0.0
                service = replace(service, cpu=cpu, memory=load[1], details=read_details(folder), is_up=True)
                if process.control:
                    sockets[unit] = control_socket(self._records.parent, process, unit)
            if service.is_up or app.enabled:
                services.append(service)
        pending = pending_of(sockets)
        return [replace(service, pending=pending.get(service.unit)) for service in services]

    def _services(self) -> Iterator[tuple[AppPolicy, ProcessPolicy, str]]:
        for app in self.stack.apps:
            for process in app.processes:
                for unit in self._units(process):
                    yield app, process, unit

    def _units(self, process: ProcessPolicy) -> list[str]:
        """Return the services of a process; for a pool also those with a cgroup, which `scale` may have added."""
        if process.instances is None:
            return [process.unit]
        folder = folder_of(process.slice, "", is_user=self._is_user)
        try:
            names = [path.name for path in Path(folder).iterdir()]
        except OSError:
            names = []
        mine = instances_among(names, process.unit)
        return sorted(mine.union(process.services), key=lambda name: instance_of(name) or 0)
