"""Shared by `start`, `stop`, `restart` and `scale`: jobs for what an address means, and how they ended."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import typer

from omnitron.cli import output
from omnitron.cli.selection import reports

if TYPE_CHECKING:
    from omnitron.operations.steps import Step
    from omnitron.policy.model import Selection, StackPolicy
    from omnitron.systemd.manager import JobEnd

ENDS = {
    "dependency": "what it depends on is not healthy",
    "failed": "it failed",
    "timeout": "it took too long",
    "canceled": "another job took its place",
}


def carry_out(steps: list[Step], *, is_user: bool, reset: bool = False) -> list[JobEnd]:
    """Run the steps on the bus; return the jobs that did not end well.

    With `reset`, systemd's own count of starts is forgotten first: an operator's start always counts.
    """
    from omnitron.operations.jobs import perform
    from omnitron.systemd.manager import Manager

    async def run() -> list[JobEnd]:
        async with Manager(is_user=is_user) as manager:
            if reset:
                await asyncio.gather(*(manager.reset_failed(unit) for step in steps for unit in step.units))
            return await perform(manager, steps)

    return asyncio.run(run())


def reset(units: list[str], *, is_user: bool) -> None:
    """Let systemd forget that units have failed."""
    from omnitron.systemd.manager import Manager

    async def run() -> None:
        async with Manager(is_user=is_user) as manager:
            await asyncio.gather(*(manager.reset_failed(unit) for unit in units))

    asyncio.run(run())


def running(targets: list[Selection], *, is_user: bool) -> set[str]:
    """Return the services of the targets' stacks that run."""
    found = reports({one.stack.target: one.stack for one in targets}.values(), is_user=is_user)
    services = (service for report in found for app in report.apps for service in app.services)
    return {service.unit for service in services if service.status in ("online", "starting")}


def finish(verb: str, done: list[str], failed: list[JobEnd], stacks: list[StackPolicy], *, is_user: bool) -> None:
    """Say how it went, in text or JSON; exit with 1 when a job did not end well."""
    why = _reasons(failed, stacks, is_user=is_user)
    if output.wants_json():
        output.data({verb: done, "failed": [{"unit": end.unit, "reason": why[end.unit]} for end in failed]})
    else:
        for name in done:
            output.line(f"{verb} {name}")
        for end in failed:
            output.note(f"{output.paint('error:', 'red')} {end.unit}: {why[end.unit]}")
        if failed:
            output.note(f"       see: journalctl -e -u {failed[0].unit}")
    if failed:
        raise typer.Exit(1)


def _reasons(failed: list[JobEnd], stacks: list[StackPolicy], *, is_user: bool) -> dict[str, str]:
    """Return why each job failed, in the words of the status report where it has any."""
    notes: dict[str, str] = {}
    if failed:
        with contextlib.suppress(Exception):
            found = reports(stacks, is_user=is_user)
            notes = {s.unit: s.note for report in found for app in report.apps for s in app.services if s.note}
    return {end.unit: notes.get(end.unit) or ENDS.get(end.result, end.result) for end in failed}
