"""The view of a stack for decisions: the states of its units, and its recorded crashes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from omnitron.supervision.state.crash_record import Record, UnitRecord
from omnitron.systemd.units import UnitState, absent


@dataclass(frozen=True)
class GroupView:
    """A stack at one moment: its units and its recorded crashes."""

    units: Mapping[str, UnitState]
    crashed: Mapping[str, UnitRecord]
    """Crash records by unit."""
    order: tuple[str, ...] = ()
    """Units by the time of their last crash."""
    operator_stops: frozenset[str] = frozenset()
    """Units that an operator stopped while they waited for their group."""
    failing: Mapping[str, str] = field(default_factory=dict)
    """Invocation ids of failed runs that ended without a job, by unit."""

    def unit(self, name: str) -> UnitState:
        """Return the state of a unit; one that is not loaded is inactive."""
        return self.units.get(name) or absent(name)

    def crashed_run(self, name: str) -> str:
        """Return the invocation id of the last recorded crash; empty if there is none."""
        record = self.crashed.get(name)
        return record.last_exit.run if record and record.last_exit else ""


def view_of(
    units: Mapping[str, UnitState], records: Iterable[Record], operator_stops: frozenset[str] = frozenset()
) -> GroupView:
    """Return the view of a stack from the states of its units and its crash records."""
    crashed: dict[str, UnitRecord] = {}
    for record in records:
        crashed |= record.units
    order = sorted(crashed, key=lambda unit: crashed[unit].last_exit or (0.0,))
    return GroupView(units, crashed, tuple(order), operator_stops)
