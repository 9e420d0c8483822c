"""The state of a unit, in systemd's own words."""

from __future__ import annotations

from dataclasses import dataclass

RUNNING = ("active", "reloading", "refreshing")
"""ActiveState of a unit that is up."""
DOWN = ("inactive", "failed")
"""ActiveState of a unit of which nothing runs."""
GOING_UP = ("start", "restart")
"""Jobs after which a unit is up."""


@dataclass(frozen=True)
class UnitState:
    """A unit at one moment; by default one that is loaded and down."""

    name: str
    active: str = "inactive"
    """Its ActiveState."""
    job: str = ""
    """Type of its pending job, empty without one."""
    load: str = "loaded"
    """Its LoadState."""
    sub: str = "dead"
    """Its SubState."""

    @property
    def is_ending(self) -> bool:
        """Return whether it goes down by itself: it has ended, and no job stops it."""
        return self.active == "deactivating" and not self.job

    @property
    def is_online(self) -> bool:
        """Return whether it is up, and stays so."""
        return self.active in RUNNING and self.job not in ("stop", "restart")

    @property
    def is_down(self) -> bool:
        """Return whether it is down, with nothing under way that brings it up."""
        return self.active in DOWN and self.job not in GOING_UP

    @property
    def is_to_be_up(self) -> bool:
        """Return whether it is up or on its way up, for as long as nobody says otherwise."""
        return self.job in GOING_UP or (self.job != "stop" and self.active in (*RUNNING, "activating"))

    @property
    def is_meant_to_run(self) -> bool:
        """Return whether it is up or will be; between a crash and its restart too."""
        if self.job:
            return self.job in GOING_UP or (self.job != "stop" and self.active not in DOWN)
        return self.active not in DOWN


def absent(name: str) -> UnitState:
    """Return the state of a unit that is not loaded."""
    return UnitState(name, load="not-found")
