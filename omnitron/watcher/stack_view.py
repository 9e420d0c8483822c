"""A stack at one moment, as what is to be done is judged by: its units, and what has crashed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from omnitron.supervision.state.crash_record import Record, UnitRecord
from omnitron.systemd.units import UnitState, absent


@dataclass(frozen=True)
class View:
    """A stack at one moment: its units, and what has crashed."""

    units: Mapping[str, UnitState]
    crashed: Mapping[str, UnitRecord]
    """What is on record, by unit."""
    order: tuple[str, ...] = ()
    """Units by the time of their last crash."""
    held: frozenset[str] = frozenset()
    """Units that an operator has stopped while they waited for their group."""
    failing: Mapping[str, str] = field(default_factory=dict)
    """Runs of those that ended alone which have failed, by unit: invocation ids."""

    def unit(self, name: str) -> UnitState:
        """Return the state of a unit; one that is not loaded is inactive."""
        return self.units.get(name) or absent(name)

    def crashed_run(self, name: str) -> str:
        """Return the invocation id of the last run on record that crashed; empty where none has."""
        record = self.crashed.get(name)
        return record.last_exit.run if record and record.last_exit else ""


def view_of(units: Mapping[str, UnitState], records: Iterable[Record], held: frozenset[str] = frozenset()) -> View:
    """Return what is known of a stack at one moment."""
    crashed: dict[str, UnitRecord] = {}
    for record in records:
        crashed |= record.units
    order = sorted(crashed, key=lambda unit: crashed[unit].last_exit or (0.0,))
    return View(units, crashed, tuple(order), held)
