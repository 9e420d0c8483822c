"""The view of a stack for decisions: the states of its units, and its recorded crashes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from omnitron.supervision.state.crash_record import Record, UnitRecord

RUNNING = ("active", "reloading", "refreshing")
GOING_UP = ("start", "restart")


@dataclass(frozen=True)
class Unit:
    """The state of a unit: its ActiveState, and the type of its pending job (empty without one)."""

    active: str = "inactive"
    job: str = ""

    @property
    def is_online(self) -> bool:
        """True if it is active and not about to stop."""
        return self.active in RUNNING and self.job not in ("stop", "restart")

    @property
    def is_down(self) -> bool:
        """True if it is down and no job starts it."""
        return self.active in ("inactive", "failed") and self.job not in GOING_UP

    @property
    def is_to_be_up(self) -> bool:
        """True if it is active or starting, and no job stops it."""
        return self.job in GOING_UP or (self.job != "stop" and self.active in (*RUNNING, "activating"))

    @property
    def is_meant_to_run(self) -> bool:
        """True if it is active or starting, also between a crash and the restart by systemd."""
        if self.job:
            return self.job in GOING_UP or (self.job != "stop" and self.active not in ("inactive", "failed"))
        return self.active not in ("inactive", "failed")


ABSENT = Unit()


@dataclass(frozen=True)
class GroupView:
    """A stack at one moment: its units and its recorded crashes."""

    units: Mapping[str, Unit]
    crashed: Mapping[str, UnitRecord]
    """Crash records by unit."""
    order: tuple[str, ...] = ()
    """Units by the time of their last crash."""
    operator_stops: frozenset[str] = frozenset()
    """Units that an operator stopped while they waited for their group."""
    failing: Mapping[str, str] = field(default_factory=dict)
    """Invocation ids of failed runs that ended without a job, by unit."""

    def unit(self, name: str) -> Unit:
        """Return the state of a unit; one that is not loaded is inactive."""
        return self.units.get(name, ABSENT)

    def crashed_run(self, name: str) -> str:
        """Return the invocation id of the last recorded crash; empty if there is none."""
        record = self.crashed.get(name)
        return record.last_exit.run if record and record.last_exit else ""


def view_of(
    units: Mapping[str, Unit], records: Iterable[Record], operator_stops: frozenset[str] = frozenset()
) -> GroupView:
    """Return the view of a stack from the states of its units and its crash records."""
    crashed: dict[str, UnitRecord] = {}
    for record in records:
        crashed |= record.units
    order = sorted(crashed, key=lambda unit: crashed[unit].last_exit or (0.0,))
    return GroupView(units, crashed, tuple(order), operator_stops)
