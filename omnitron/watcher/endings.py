"""How the runs of a group end: what systemd is asked of them, and what the crash helpers are told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from omnitron.supervision import answers
from omnitron.systemd.manager import BusError
from omnitron.systemd.runs import run_of

if TYPE_CHECKING:
    from omnitron.systemd.manager import Manager, UnitState
    from omnitron.watcher.judge import View

NOT_FAILED = ("success", "exec-condition")
"""Results that say nothing yet: what is a success for systemd may be a crash, which the helper finds out."""


async def failed_runs(manager: Manager, folder: str, states: Iterable[UnitState]) -> dict[str, str]:
    """Return which of these units, which go down untold, have failed: the invocation ids of their runs, by unit.

    Their crash helpers are spared the question to systemd: it would answer only when it has stopped all others of
    the group. `folder` is that of their crash records.
    """
    failed = {}
    for state in states:
        # In this order: should the next run have begun meanwhile, its result says nothing of the earlier one.
        asked = (
            manager.run_of(state),
            manager.property(state, "Result"),
            manager.property(state, "ExecMainExitTimestampMonotonic"),
        )
        with contextlib.suppress(BusError):
            run, result, exited = await asyncio.gather(*asked)
            if result in NOT_FAILED:
                continue
            failed[state.name] = run
            # One that hangs has failed before its process has ended.
            if exited:
                with contextlib.suppress(OSError):
                    answers.crashed(folder, state.name, run, exited)
    return failed


async def note_stops(manager: Manager, folder: str, states: Iterable[UnitState], view: View) -> None:
    """Spare the crash helpers of these units, which are about to be stopped, the question who ended them."""
    for state in states:
        run = run_of(state.name, is_user=manager.is_user)
        with contextlib.suppress(BusError, OSError):
            # systemd makes no new link when it restarts a unit itself.
            if run == view.crashed_run(state.name):
                run = await manager.run_of(state)
            if run:
                answers.stopped(folder, state.name, run)
