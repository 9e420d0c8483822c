"""Exits in a group that are not recorded yet: reads them from systemd, and leaves notes for the crash helpers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from omnitron.supervision.state import run_notes
from omnitron.systemd.invocations import run_of
from omnitron.systemd.manager import BusError

if TYPE_CHECKING:
    from omnitron.systemd.manager import Manager
    from omnitron.systemd.units import UnitState
    from omnitron.watcher.stack_view import GroupView

NOT_FAILED = ("success", "exec-condition")
"""Results without a failure. A success may still be a crash; the helper decides that."""
NO_JOB = 0


async def failed_runs(manager: Manager, folder: str, states: Iterable[UnitState]) -> dict[str, str]:
    """Return the invocation ids of the failed runs of units that deactivate without a job, by unit.

    A note for each spares its crash helper the question to systemd, which would answer only after it has stopped all
    other members of the group. `folder` is the folder of the crash records.
    """
    states = list(states)
    runs = await asyncio.gather(*(_failed_run(manager, folder, state) for state in states))
    return {state.name: run for state, run in zip(states, runs, strict=True) if run}


async def _failed_run(manager: Manager, folder: str, state: UnitState) -> str | None:
    # The run is read first: if the next run begins meanwhile, the failure of this one is not attributed to it.
    reads = (
        manager.run_of(state),
        manager.property(state, "Result"),
        manager.property(state, "ExecMainExitTimestampMonotonic"),
        manager.property(state, "Job", "Unit"),
    )
    try:
        run, result, exited, (job, _) = await asyncio.gather(*reads)
    except BusError:
        return None  # the unit does not exist any more
    if result in NOT_FAILED or job != NO_JOB:
        return None
    # A service that hangs (timeout, watchdog) has failed before its process has ended.
    if exited:
        with contextlib.suppress(OSError):
            run_notes.crashed(folder, state.name, run, exited)
    return str(run)


async def note_stops(manager: Manager, folder: str, states: Iterable[UnitState], view: GroupView) -> None:
    """Note for the crash helpers of these units that their runs are stopped, not crashed."""
    await asyncio.gather(*(_note_stop(manager, folder, state, view) for state in states))


async def _note_stop(manager: Manager, folder: str, state: UnitState, view: GroupView) -> None:
    with contextlib.suppress(BusError, OSError):
        # After a restart by systemd itself the link may name an earlier run; then the run is read over the bus.
        has_crashed = view.crashed_run(state.name)
        run = await manager.run_of(state) if has_crashed else run_of(state.name, is_user=manager.is_user)
        if run:
            run_notes.stopped(folder, state.name, run)
