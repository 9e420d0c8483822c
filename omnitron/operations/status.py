"""The state of the manager that runs a stack, for `status`; reports of stacks are made by `installed.reports`."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from omnitron.observe.cgroups import NOTHING, hierarchy, read_process

if TYPE_CHECKING:
    from omnitron.observe.report import StackReport

MANAGER_PID = 1


class ManagerState(NamedTuple):
    """The service manager of a scope."""

    pid: int
    uptime: float
    """Seconds since it started."""


def manager_state(*, is_user: bool) -> ManagerState:
    """Return the manager that runs the stacks: PID 1, or the user's own."""
    pid = _user_manager_pid() if is_user else MANAGER_PID
    usage = read_process(pid) or NOTHING
    return ManagerState(pid, time.clock_gettime(time.CLOCK_BOOTTIME) - (usage.started or 0.0))


def _user_manager_pid() -> int:
    procs = Path(hierarchy(True)) / "init.scope/cgroup.procs"
    pids = procs.read_text().split() if procs.exists() else []
    return int(pids[0]) if pids else os.getpid()


def with_recent_cpu(
    reports: Iterable[StackReport], previous: MutableMapping[str, tuple[float, float]]
) -> list[StackReport]:
    """Return the reports with the CPU used since the last call, as far as there was one.

    `previous` has CPU time and monotonic time of the last call, in seconds, by service; it is brought up to date.
    """
    from omnitron.observe.report import with_cpu  # 17 ms, and where nothing is installed there is no report

    now = time.monotonic()
    shares: dict[str, float] = {}
    reports = list(reports)
    for service in (service for report in reports for app in report.apps for service in app.services):
        used, at = previous.get(service.unit, (service.cpu_time, now))
        if now > at and service.cpu_time >= used:
            shares[service.unit] = 100 * (service.cpu_time - used) / (now - at)
        previous[service.unit] = (service.cpu_time, now)
    return [with_cpu(report, shares) for report in reports] if shares else reports
