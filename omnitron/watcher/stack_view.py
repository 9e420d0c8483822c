"""A stack at one moment, as what is to be done is judged by: its units, and what has crashed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from omnitron.supervision.state.crash_record import Record, UnitRecord

RUNNING = ("active", "reloading", "refreshing")
GOING_UP = ("start", "restart")


@dataclass(frozen=True)
class Unit:
    """A unit in systemd's words: its ActiveState, and the type of its pending job (empty without one)."""

    active: str = "inactive"
    job: str = ""

    @property
    def is_online(self) -> bool:
        """Whether it is up, and stays so."""
        return self.active in RUNNING and self.job not in ("stop", "restart")

    @property
    def is_down(self) -> bool:
        """Whether it is down, with nothing under way that brings it up."""
        return self.active in ("inactive", "failed") and self.job not in GOING_UP

    @property
    def is_to_be_up(self) -> bool:
        """Whether it is up or on its way up, for as long as nobody says otherwise."""
        return self.job in GOING_UP or (self.job != "stop" and self.active in (*RUNNING, "activating"))

    @property
    def is_meant_to_run(self) -> bool:
        """Whether it is up or will be; between a crash and its restart too."""
        if self.job:
            return self.job in GOING_UP or (self.job != "stop" and self.active not in ("inactive", "failed"))
        return self.active not in ("inactive", "failed")


ABSENT = Unit()


@dataclass(frozen=True)
class View:
    """A stack at one moment: its units, and what has crashed."""

    units: Mapping[str, Unit]
    crashed: Mapping[str, UnitRecord]
    """What is on record, by unit."""
    order: tuple[str, ...] = ()
    """Units by the time of their last crash."""
    held: frozenset[str] = frozenset()
    """Units that an operator has stopped while they waited for their group."""
    failing: Mapping[str, str] = field(default_factory=dict)
    """Runs of those that ended alone which have failed, by unit: invocation ids."""

    def unit(self, name: str) -> Unit:
        """Return the state of a unit; one that is not loaded is inactive."""
        return self.units.get(name, ABSENT)

    def crashed_run(self, name: str) -> str:
        """Return the invocation id of the last run on record that crashed; empty where none has."""
        record = self.crashed.get(name)
        return record.last_exit.run if record and record.last_exit else ""


def view_of(units: Mapping[str, Unit], records: Iterable[Record], held: frozenset[str] = frozenset()) -> View:
    """Return what is known of a stack at one moment."""
    crashed: dict[str, UnitRecord] = {}
    for record in records:
        crashed |= record.units
    order = sorted(crashed, key=lambda unit: crashed[unit].last_exit or (0.0,))
    return View(units, crashed, tuple(order), held)
