"""What the watcher knows, told on the bus as `dev.omnitron.Watcher1`: properties, signals, and methods for the rest."""

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
from omnitron.observe.snapshot import checks_of, counted_by_systemd, of_stack, said_by
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
    from omnitron.watcher.metrics.collector import Metering
    from omnitron.watcher.stack_supervisor import Sight

log = logging.getLogger(__name__)

NAME = "dev.omnitron.Watcher1"
PATH = "/dev/omnitron/Watcher1"
XML = Path(__file__).with_name("dev.omnitron.Watcher1.xml")

AGAIN_S = 10.0
"""Pause before the next try to have the name, when it was refused."""
RECONNECT_S = 0.5
QUIET_S = 0.1
LATEST_S = 1.0
"""In a burst only what comes out of it is told, when nothing more has come for QUIET_S: a group that restarts
needs the processor itself."""


class Publisher:
    """Tells on the bus what was seen. Without its name there all else goes on.

    `manager` is the connection to act on, None while there is none.
    """

    def __init__(self, records: Path, metering: Metering, *, is_user: bool) -> None:
        self.manager: Manager | None = None
        self._records = records
        self._is_user = is_user
        self._metering = metering
        methods = {"GetMetrics": self._get_metrics, "Reset": self._reset}
        service = Service(PATH, XML.read_text(), self._properties, methods)
        self._exported = Exported(NAME, service, is_user=is_user)
        self._rows: dict[str, Rows] = {}
        self._reports: dict[str, StackReport] = {}
        self._stacks: dict[str, StackPolicy] = {}
        self._seen: dict[str, Sight] = {}
        self._known: set[str] = set()
        self._counted: dict[str, UnitRecord] = {}
        self._said: dict[str, str] = {}
        self._woken = asyncio.Event()

    async def serve(self) -> None:
        """Have the name on the bus, until cancelled; without it, try again now and then."""
        said = ""
        while True:
            try:
                await self._exported.serve()
                said = ""
            except OmnitronError as error:
                if error.brief != said:
                    log.warning("%s: `omnitron generate` installs what allows it, except under --runtime", error.brief)
                said = error.brief
            except Exception:  # nothing that is told is worth the end of supervision
                log.exception("cannot serve %s", NAME)
            await asyncio.sleep(AGAIN_S if said else RECONNECT_S)

    def load(self, stacks: Iterable[StackPolicy]) -> None:
        """Tell of these stacks from now on."""
        self._stacks = {stack.stem: stack for stack in stacks}
        self._known.clear()
        self._woken.set()

    def saw(self, sight: Sight, changed: Collection[str]) -> None:
        """Take in how a stack is, to be told of soon; `changed` are its units of which something new was heard."""
        self._known.difference_update(changed)
        self._seen[sight.stack.stem] = sight
        self._woken.set()

    async def run(self) -> None:
        """Tell what is new, until cancelled."""
        while True:
            await self._woken.wait()
            await self._calm()
            seen, self._seen = self._seen, {}
            try:
                await self._tell(seen)
            except OmnitronError as error:
                log.debug("%s", error.brief)  # the connection has ended: what is new is read again on the next one
            except OSError as error:  # no descriptor is left, as the watcher says too
                log.debug("cannot read what is to be told: %s", error)
                self._seen = {**seen, **self._seen}
                self._known.clear()
                self._woken.set()
                await asyncio.sleep(LATEST_S)
            except Exception:  # nothing that is told is worth the end of supervision
                self._known.clear()
                log.exception("cannot tell what has changed")

    async def _calm(self) -> None:
        """Wait for the end of a burst, LATEST_S at most."""
        latest = time.monotonic() + LATEST_S
        while self._woken.is_set() and time.monotonic() < latest:
            self._woken.clear()
            await asyncio.sleep(QUIET_S)
        self._woken.clear()

    async def _tell(self, seen: Mapping[str, Sight]) -> None:
        new: list[Signal] = []
        for stem in self._rows.keys() - self._stacks.keys():
            new += signals(stem, self._rows.pop(stem), GONE)
            self._reports.pop(stem, None)
        for stem, sight in seen.items():
            if stem in self._stacks:
                await self._ask(sight)
                counted = {unit: self._counted[unit] for unit in sight.units if unit in self._counted}
                sight = replace(sight, records=[*sight.records, Record(units=counted)])
                said = {unit: self._said[unit] for unit in sight.units if unit in self._said}
                checks = checks_of(sight.stack, self._records)
                report = report_stack(
                    sight.stack, of_stack(sight.stack, sight.units, sight.records, sight.memory, checks, said)
                )
                before, after = self._rows.get(stem, GONE), rows_of(sight, report)
                new += signals(stem, before, after)
                self._rows[stem], self._reports[stem] = after, report
        if new:
            for name, values in new:
                await self._exported.emit(name, *values)
            await self._exported.invalidate("Stacks", "Apps", "Conditions", "LastExits")

    async def _ask(self, sight: Sight) -> None:
        """Ask what systemd alone counts, and what process hosts say of themselves, where it may have changed.

        That takes systemd some milliseconds for each, and a stack is looked at whenever one of its units changes.
        """
        units = {unit: listed for unit, listed in sight.units.items() if unit not in self._known}
        # Before they are asked: what is heard meanwhile is to be asked again.
        self._known |= units.keys()
        counted, said = await asyncio.to_thread(self._answers, sight.stack, units)
        for unit in units:
            self._counted.pop(unit, None)
            self._said.pop(unit, None)
        self._counted |= counted
        self._said |= said

    def _answers(
        self, stack: StackPolicy, units: Mapping[str, UnitState]
    ) -> tuple[dict[str, UnitRecord], dict[str, str]]:
        counted = counted_by_systemd([stack], units, is_user=self._is_user)
        return counted, said_by([stack], units, is_user=self._is_user, listens=True)

    def _properties(self) -> dict[str, Any]:
        rows = sorted(self._rows.items())
        conditions = [(stem, unit, found) for stem, row in rows for unit, found in row.conditions.items()]
        return {
            "Version": __version__,
            "Stacks": [[stem, *row.stack] for stem, row in rows],
            "Apps": [[stem, app, *values] for stem, row in rows for app, values in row.apps.items()],
            "Conditions": [[stem, app, unit, *rest] for stem, unit, (app, *rest) in conditions],
            "LastExits": [[unit, *values] for _, row in rows for unit, values in row.exits.items()],
        }

    async def _get_metrics(self, address: str) -> list[Any]:
        wanted = set(self._services(self._selections(address))) if address else None
        figures = await self._metering.figures()
        return [
            [
                variants(values_of(stack, one))
                for stack, of in figures
                for one in of
                if wanted is None or one.unit in wanted
            ]
        ]

    async def _reset(self, address: str) -> list[Any]:
        manager = self.manager
        if manager is None:
            raise OmnitronError("cannot reset anything: the watcher is losing the bus")
        units: dict[str, None] = {}
        for selection in self._selections(address):
            report = self._reports.get(selection.stack.stem)
            if report is None:
                raise OmnitronError("cannot reset it yet: the watcher has only just started")
            units |= dict.fromkeys(await asyncio.to_thread(renew, selection, report, self._records))
        log.info("a new budget for %s was asked for over the bus", address)
        for unit in units:
            await manager.reset_failed(unit)
            await manager.start(unit)
        return [list(units)]

    def _selections(self, address: str) -> list[Selection]:
        return resolve(address, self._stacks.values(), None)

    def _services(self, selections: Iterable[Selection]) -> Iterator[str]:
        """Yield the services that are meant, those that `scale` has added too."""
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
