"""The D-Bus service `dev.omnitron.Watcher1` of the watcher: properties, signals and methods."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omnitron.errors import OmnitronError
from omnitron.observe.report import StackReport, report_stack
from omnitron.observe.snapshot import checks_of, counted_by_systemd, notes_by, of_stack
from omnitron.operations.reset_budget import renew
from omnitron.policy.addresses import resolve
from omnitron.policy.model import Selection, StackPolicy
from omnitron.supervision.state.crash_record import Record, UnitRecord
from omnitron.systemd.bus_service import Exported, Service, variants
from omnitron.version import __version__
from omnitron.watcher.bus_signals import GONE, Rows, Signal, rows_of, signals
from omnitron.watcher.metrics.exposition import values_of

if TYPE_CHECKING:
    from omnitron.systemd.manager import Manager
    from omnitron.systemd.units import UnitState
    from omnitron.watcher.metrics.collector import Collector
    from omnitron.watcher.stack_supervisor import StackSnapshot

log = logging.getLogger(__name__)

NAME = "dev.omnitron.Watcher1"
PATH = "/dev/omnitron/Watcher1"
XML = Path(__file__).with_name("dev.omnitron.Watcher1.xml")

AGAIN_S = 10.0
"""Pause before the next request for the bus name, after a refusal."""
RECONNECT_S = 0.5
QUIET_S = 0.1
LATEST_S = 1.0
"""Changes in a burst are published together, QUIET_S after the last one and LATEST_S after the first at most: a
group that restarts needs the processor itself."""


class Publisher:
    """Publishes snapshots of stacks on the bus. Without the bus name, the rest of the watcher works as usual.

    `manager` is the connection for jobs, None while there is none.
    """

    def __init__(self, records: Path, collector: Collector, *, is_user: bool) -> None:
        self.manager: Manager | None = None
        self._records = records
        self._is_user = is_user
        self._collector = collector
        methods = {"GetMetrics": self._get_metrics, "Reset": self._reset}
        service = Service(PATH, XML.read_text(), self._properties, methods)
        self._exported = Exported(NAME, service, is_user=is_user)
        self._rows: dict[str, Rows] = {}
        self._reports: dict[str, StackReport] = {}
        self._stacks: dict[str, StackPolicy] = {}
        self._pending: dict[str, StackSnapshot] = {}
        self._read_units: set[str] = set()
        self._start_counts: dict[str, UnitRecord] = {}
        self._notes: dict[str, str] = {}
        self._wakeup = asyncio.Event()

    async def serve(self) -> None:
        """Own the bus name until cancelled; after a refusal or a lost connection, try again."""
        refusal = ""
        while True:
            try:
                await self._exported.serve()
                refusal = ""
            except OmnitronError as error:
                if error.brief != refusal:
                    log.warning(
                        "%s: `omnitron generate` installs the bus policy for it, except with --runtime", error.brief
                    )
                refusal = error.brief
            except Exception:  # a failure on the bus must not end supervision
                log.exception("cannot serve %s", NAME)
            await asyncio.sleep(AGAIN_S if refusal else RECONNECT_S)

    def load(self, stacks: Iterable[StackPolicy]) -> None:
        """Publish these stacks from now on."""
        self._stacks = {stack.stem: stack for stack in stacks}
        self._read_units.clear()
        self._wakeup.set()

    def update(self, snapshot: StackSnapshot, changed: Collection[str]) -> None:
        """Take a snapshot to publish soon; `changed` are the units of the stack with signals since the last one."""
        self._read_units.difference_update(changed)
        self._pending[snapshot.stack.stem] = snapshot
        self._wakeup.set()

    async def run(self) -> None:
        """Publish changes until cancelled."""
        while True:
            await self._wakeup.wait()
            await self._wait_for_quiet()
            pending, self._pending = self._pending, {}
            try:
                await self._publish(pending)
            except OmnitronError as error:
                log.debug("%s", error.brief)  # the connection has ended: changes are read again on the next one
            except OSError as error:  # no descriptor is left; the watcher logs that as an error itself
                log.debug("cannot read the state to publish: %s", error)
                self._pending = {**pending, **self._pending}
                self._read_units.clear()
                self._wakeup.set()
                await asyncio.sleep(LATEST_S)
            except Exception:  # a failure on the bus must not end supervision
                self._read_units.clear()
                log.exception("cannot publish changes")

    async def _wait_for_quiet(self) -> None:
        """Wait for the end of a burst, LATEST_S at most."""
        latest = time.monotonic() + LATEST_S
        while self._wakeup.is_set() and time.monotonic() < latest:
            self._wakeup.clear()
            await asyncio.sleep(QUIET_S)
        self._wakeup.clear()

    async def _publish(self, pending: Mapping[str, StackSnapshot]) -> None:
        new: list[Signal] = []
        for stem in self._rows.keys() - self._stacks.keys():
            new += signals(stem, self._rows.pop(stem), GONE)
            self._reports.pop(stem, None)
        for stem, snapshot in pending.items():
            if stem in self._stacks:
                await self._read_answers(snapshot)
                counted = {unit: self._start_counts[unit] for unit in snapshot.units if unit in self._start_counts}
                snapshot = replace(snapshot, records=[*snapshot.records, Record(units=counted)])
                notes = {unit: self._notes[unit] for unit in snapshot.units if unit in self._notes}
                checks = checks_of(snapshot.stack, self._records)
                report = report_stack(
                    snapshot.stack,
                    of_stack(snapshot.stack, snapshot.units, snapshot.records, snapshot.memory, checks, notes),
                )
                before, after = self._rows.get(stem, GONE), rows_of(snapshot, report)
                new += signals(stem, before, after)
                self._rows[stem], self._reports[stem] = after, report
        if new:
            for name, values in new:
                await self._exported.emit(name, *values)
            await self._exported.invalidate("Stacks", "Apps", "Conditions", "LastExits")

    async def _read_answers(self, snapshot: StackSnapshot) -> None:
        """Read the values that no signal reports, of units that may have changed.

        These are the restarts that only systemd counts, and the notes of process hosts. Reading them takes some
        milliseconds per unit, and a snapshot is taken whenever one unit of the stack changes.
        """
        units = {unit: listed for unit, listed in snapshot.units.items() if unit not in self._read_units}
        # Marked as read before reading: a unit that changes meanwhile is read again.
        self._read_units |= units.keys()
        counted, notes = await asyncio.to_thread(self._query, snapshot.stack, units)
        for unit in units:
            self._start_counts.pop(unit, None)
            self._notes.pop(unit, None)
        self._start_counts |= counted
        self._notes |= notes

    def _query(
        self, stack: StackPolicy, units: Mapping[str, UnitState]
    ) -> tuple[dict[str, UnitRecord], dict[str, str]]:
        counted = counted_by_systemd([stack], units, is_user=self._is_user)
        return counted, notes_by([stack], units, is_user=self._is_user, listens=True)

    def _properties(self) -> dict[str, Any]:
        rows = sorted(self._rows.items())
        conditions = [(stem, unit, condition) for stem, row in rows for unit, condition in row.conditions.items()]
        return {
            "Version": __version__,
            "Stacks": [[stem, *row.stack] for stem, row in rows],
            "Apps": [[stem, app, *values] for stem, row in rows for app, values in row.apps.items()],
            "Conditions": [[stem, app, unit, *rest] for stem, unit, (app, *rest) in conditions],
            "LastExits": [[unit, *values] for _, row in rows for unit, values in row.exits.items()],
        }

    async def _get_metrics(self, address: str) -> list[Any]:
        selected = set(self._services(self._selections(address))) if address else None
        figures = await self._collector.figures()
        return [
            [
                variants(values_of(stack, service))
                for stack, services in figures
                for service in services
                if selected is None or service.unit in selected
            ]
        ]

    async def _reset(self, address: str) -> list[Any]:
        manager = self.manager
        if manager is None:
            raise OmnitronError("cannot reset the budget: the watcher has lost its bus connection")
        units: dict[str, None] = {}
        for selection in self._selections(address):
            report = self._reports.get(selection.stack.stem)
            if report is None:
                raise OmnitronError("cannot reset the budget yet: the watcher has just started; try again")
            units |= dict.fromkeys(await asyncio.to_thread(renew, selection, report, self._records))
        log.info("reset the budget of %s by a call on the bus", address)
        for unit in units:
            await manager.reset_failed(unit)
            await manager.start(unit)
        return [list(units)]

    def _selections(self, address: str) -> list[Selection]:
        return resolve(address, self._stacks.values(), None)

    def _services(self, selections: Iterable[Selection]) -> Iterator[str]:
        """Yield the selected services, including instances that `scale` has added."""
        for selection in selections:
            report = self._reports.get(selection.stack.stem)
            processes = (
                [p for app in report.apps if app.policy == selection.app for p in app.processes] if report else []
            )
            for process in processes:
                if selection.process in (None, process.policy):
                    for service in process.services:
                        if selection.instance in (None, service.instance):
                            yield service.unit
