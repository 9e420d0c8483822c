"""Jobs for what an operator asks for: run on the bus, with the reason of each that failed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from omnitron.observe.conditions import Condition, text_of
from omnitron.operations.events import Progress, StepDone, ignore
from omnitron.operations.installed import reports
from omnitron.operations.jobs import perform
from omnitron.operations.steps import Step
from omnitron.policy.model import StackPolicy
from omnitron.systemd.journal_command import journal_command
from omnitron.systemd.manager import JobEnd, Manager

RESULTS = {
    "dependency": "what it depends on is not healthy",
    "failed": "it failed",
    "timeout": "it took too long",
    "canceled": "another job took its place",
}
"""Sentences for the results of jobs, see org.freedesktop.systemd1(5)."""


@dataclass(frozen=True)
class FailedJob:
    """A job that did not end well."""

    unit: str
    reason: str
    condition: Condition | None
    """The condition of the service, None where it has none or could not be read."""
    journal: str
    """The command line that shows its log."""


@dataclass(frozen=True)
class JobOutcome:
    """The result of the jobs of one request."""

    done: tuple[str, ...]
    """Addresses or units that it was done to; empty when a job failed."""
    failed: tuple[FailedJob, ...] = ()


def run_steps(steps: Iterable[Step], *, is_user: bool, reset: bool = False) -> list[JobEnd]:
    """Run the steps on the bus, one after the other; return the jobs that did not end well.

    With `reset`, systemd's own count of starts is cleared first: a start by an operator always counts.
    """
    queue = list(steps)

    async def run() -> list[JobEnd]:
        async with Manager(is_user=is_user) as manager:
            if reset:
                await asyncio.gather(*(manager.reset_failed(unit) for step in queue for unit in step.units))
            return await perform(manager, queue)

    return asyncio.run(run())


def run_in_turn(steps: Iterable[Step], *, is_user: bool, progress: Progress = ignore) -> tuple[list[str], list[JobEnd]]:
    """Run steps until one fails; return the units that are done, and the failed jobs."""
    done: list[str] = []
    for step in steps:
        failed = run_steps([step], is_user=is_user, reset=True)
        if failed:
            return done, failed
        done += step.units
        progress(StepDone(step))
    return done, []


def reset_failed(units: Iterable[str], *, is_user: bool) -> None:
    """Have systemd forget that units have failed."""
    names = list(units)

    async def run() -> None:
        async with Manager(is_user=is_user) as manager:
            await asyncio.gather(*(manager.reset_failed(unit) for unit in names))

    asyncio.run(run())


def outcome(
    done: Sequence[str], failed: Sequence[JobEnd], stacks: Iterable[StackPolicy], *, is_user: bool
) -> JobOutcome:
    """Return what was done, or why the failed jobs failed: in the words of the status report where it has any."""
    if not failed:
        return JobOutcome(tuple(done))
    stacks = tuple(stacks)
    conditions: dict[str, Condition] = {}
    # The report explains; where it cannot be made, the result of the job still stands.
    with contextlib.suppress(Exception):
        current = reports(stacks, is_user=is_user)
        services = [service for report in current for app in report.apps for service in app.services]
        conditions = {service.unit: service.condition for service in services if service.condition}
    jobs = []
    for end in failed:
        condition = conditions.get(end.unit)
        reason = text_of(condition) or end.detail or RESULTS.get(end.result, end.result)
        namespace = next((stack.log_namespace for stack in stacks if end.unit.startswith(f"{stack.stem}-")), None)
        journal = journal_command(end.unit, is_user=is_user, namespace=namespace)
        jobs.append(FailedJob(end.unit, reason, condition, journal))
    return JobOutcome((), tuple(jobs))
