"""How the runs of a group end: what systemd is asked of them, and what the crash helpers are told."""

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
    from omnitron.watcher.stack_view import View

NOT_FAILED = ("success", "exec-condition")
"""Results that say nothing yet: what is a success for systemd may be a crash, which the helper finds out."""
NO_JOB = 0


async def failed_runs(manager: Manager, folder: str, states: Iterable[UnitState]) -> dict[str, str]:
    """Return which of these units, which go down untold, have failed: the invocation ids of their runs, by unit.

    Their crash helpers are spared the question to systemd: it would answer only when it has stopped all others of
    the group. `folder` is that of their crash records.
    """
    states = list(states)
    runs = await asyncio.gather(*(_failed_run(manager, folder, state) for state in states))
    return {state.name: run for state, run in zip(states, runs, strict=True) if run}


async def _failed_run(manager: Manager, folder: str, state: UnitState) -> str | None:
    # In this order: should the next run have begun meanwhile, what is said of it is not said of the earlier one.
    asked = (
        manager.run_of(state),
        manager.property(state, "Result"),
        manager.property(state, "ExecMainExitTimestampMonotonic"),
        manager.property(state, "Job", "Unit"),
    )
    try:
        run, result, exited, (job, _) = await asyncio.gather(*asked)
    except BusError:
        return None  # there is no such unit any more
    if result in NOT_FAILED or job != NO_JOB:
        return None
    # One that hangs has failed before its process has ended.
    if exited:
        with contextlib.suppress(OSError):
            run_notes.crashed(folder, state.name, run, exited)
    return str(run)


async def note_stops(manager: Manager, folder: str, states: Iterable[UnitState], view: View) -> None:
    """Spare the crash helpers of these units, which are about to be stopped, the question who ended them."""
    await asyncio.gather(*(_note_stop(manager, folder, state, view) for state in states))


async def _note_stop(manager: Manager, folder: str, state: UnitState, view: View) -> None:
    with contextlib.suppress(BusError, OSError):
        # Of a unit that systemd has restarted itself there is no link to the run.
        has_crashed = view.crashed_run(state.name)
        run = await manager.run_of(state) if has_crashed else run_of(state.name, is_user=manager.is_user)
        if run:
            run_notes.stopped(folder, state.name, run)
