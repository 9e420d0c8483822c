"""Carries out steps on the bus, and waits until a stack has settled."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable

from omnitron.observe.conditions import Condition
from omnitron.observe.report import ServiceReport, StackReport
from omnitron.operations.steps import Step
from omnitron.systemd.manager import BusError, JobEnd, Manager

POLL_S = 0.25
SETTLED_FOR_S = 0.5
"""Time for which everything must look well: a program that dies at once looks well for a moment."""

UNLOADED = ("NoSuchUnit", "LoadFailed", "BadUnitSetting")
"""Errors of systemd about a unit that it has not loaded."""


async def perform(manager: Manager, steps: Iterable[Step]) -> list[JobEnd]:
    """Carry out the steps one after the other; return the jobs that did not end well.

    A unit that systemd does not know is a failed job, not an error: the others go on.
    """
    failed: list[JobEnd] = []
    for step in steps:
        failed += await _perform(manager, step)
    return failed


async def _perform(manager: Manager, step: Step) -> list[JobEnd]:
    queue = {"start": manager.start, "stop": manager.stop, "restart": manager.restart, "reload": manager.reload_unit}[
        step.verb
    ]
    ends = await asyncio.gather(*(_run_job(queue, unit, stops=step.verb == "stop") for unit in step.units))
    return [end for end in ends if end.result not in ("done", "skipped")]


async def _run_job(queue: Callable[[str], Awaitable[asyncio.Future[JobEnd]]], unit: str, *, stops: bool) -> JobEnd:
    try:
        return await (await queue(unit))
    except BusError as error:
        # What systemd cannot load does not run.
        if stops and error.name.endswith(UNLOADED):
            return JobEnd(unit, "done")
        return JobEnd(unit, "refused", error.brief)


async def settle(
    take: Callable[[], StackReport],
    *,
    is_busy: Callable[[], bool],
    timeout_s: float,
    progress: Callable[[ServiceReport], None],
) -> StackReport:
    """Wait until no service of the stack's enabled apps is on its way; return the last report.

    `progress` hears of each change of a service's state. Goes on while `is_busy`, for jobs are under way;
    ends after `timeout_s` in any case.
    """
    deadline = time.monotonic() + timeout_s
    seen: dict[str, tuple[str, Condition | None]] = {}
    quiet_since: float | None = None
    while True:
        report = await asyncio.to_thread(take)
        for service in services_of(report):
            state = (service.status, service.condition if service.status != "starting" else None)
            if seen.get(service.unit) != state:
                seen[service.unit] = state
                progress(service)
        moving = is_busy() or any(service.status in ("starting", "stopping") for service in services_of(report))
        now = time.monotonic()
        quiet_since = None if moving else (quiet_since or now)
        if now > deadline or (quiet_since is not None and now - quiet_since >= SETTLED_FOR_S):
            return report
        await asyncio.sleep(POLL_S)


def services_of(report: StackReport) -> list[ServiceReport]:
    """Return the services that should run: those of enabled apps."""
    return [service for app in report.apps if app.policy.enabled for service in app.services]
