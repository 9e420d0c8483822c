"""Status reports, pure over readings: the states of processes and apps, and why something does not run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from omnitron.names import Address, instance_of
from omnitron.observe.conditions import Condition, ConditionKind, of_reason
from omnitron.observe.snapshot import Readings, services_of, usage_of
from omnitron.policy.model import AppPolicy, ProcessPolicy, StackPolicy
from omnitron.supervision import status_line
from omnitron.supervision.state.crash_record import Exit
from omnitron.supervision.state.group_state import Memory

Status = Literal["stopped", "starting", "online", "stopping", "errored", "crashed"]

WORST_FIRST: tuple[Status, ...] = ("crashed", "errored", "starting", "stopping", "online", "stopped")
"""Last comes stopped: one stopped service does not make the others look stopped."""


@dataclass(frozen=True)
class ServiceReport:
    """One running service, or one that should be. Times in seconds, memory in bytes."""

    unit: str
    instance: int | None
    status: Status
    pid: int | None
    cpu: float
    """Share of one CPU since it started, in per cent."""
    cpu_time: float
    """CPU time used so far, in seconds."""
    memory: int
    uptime: float
    restarts: int
    condition: Condition | None
    """Why it is not online, or what it waits for; None when there is nothing to report."""
    follows: str | None
    """The cause that keeps it down: the app that blocks it, or the service whose crash it shares."""
    budget_left: int | None
    """Crashes that it may still have now before it is given up; None where systemd alone counts."""
    next_start: float | None
    """Seconds until it is started again after a crash; None where it waits for none."""
    last_exit: Exit | None
    """Its last crash; None where it has not, since boot."""


@dataclass(frozen=True)
class ProcessReport:
    """One process of an app: a service, or all instances of a pool."""

    policy: ProcessPolicy
    services: tuple[ServiceReport, ...]

    @property
    def status(self) -> Status:
        """The worst state of its instances."""
        return worst([service.status for service in self.services])


@dataclass(frozen=True)
class AppReport:
    """One app of a stack."""

    stack: StackPolicy
    policy: AppPolicy
    processes: tuple[ProcessReport, ...]

    @property
    def services(self) -> list[ServiceReport]:
        """All services of the app."""
        return [service for process in self.processes for service in process.services]

    @property
    def status(self) -> Status:
        """The worst state of its processes."""
        return worst([process.status for process in self.processes])

    @property
    def condition(self) -> Condition | None:
        """The first condition among those of its services."""
        return next((service.condition for service in self.services if service.condition), None)

    def is_blocked(self, by: str | None = None) -> bool:
        """Return whether a dependency keeps any of it from starting: any dependency, or the app named `by`."""
        root = str(Address(self.stack.stack, by)) if by else None
        blocked = (s.condition for s in self.services if s.condition and s.condition.kind == ConditionKind.BLOCKED)
        return any(root in (None, condition.by) for condition in blocked)


@dataclass(frozen=True)
class StackReport:
    """One stack, as systemd sees it."""

    policy: StackPolicy
    active: str
    """ActiveState of its target."""
    ended_by: str | None
    """The critical app whose final failure ended it."""
    apps: tuple[AppReport, ...]


def worst(states: list[Status]) -> Status:
    """Return the state that matters most; no states are stopped."""
    return next((status for status in WORST_FIRST if status in states), "stopped")


REFUSED = ("bad-setting", "error")
"""Load states of a unit whose file systemd has read, and cannot use."""


def report_stack(stack: StackPolicy, readings: Readings) -> StackReport:
    """Return the report of one stack."""
    blocked = blockers(stack, readings)
    memory = readings.memories.get(stack.target, Memory())
    apps = tuple(_app(stack, app, blocked.get(app.name), memory, readings) for app in stack.apps)
    ended_by = None
    if readings.unit(stack.critical_target).active == "active":
        failed = [app for app in apps if app.policy.critical and app.status in ("crashed", "errored")]
        # Others may have failed only when they were stopped with the rest.
        last = max(failed, key=lambda app: _final_failure_at(app, readings), default=None)
        ended_by = last.policy.name if last else None
    return StackReport(stack, readings.unit(stack.target).active, ended_by, apps)


def _final_failure_at(app: AppReport, readings: Readings) -> float:
    """Return when one of an app's services was given up last, in unix seconds; 0 when none was."""
    records = (readings.records.get(service.unit) for service in app.services)
    return max((record.final.at for record in records if record and record.final), default=0.0)


def with_cpu(report: StackReport, shares: dict[str, float]) -> StackReport:
    """Return the report with the given shares of a CPU, by service name."""

    def process(of: ProcessReport) -> ProcessReport:
        services = (replace(service, cpu=shares.get(service.unit, service.cpu)) for service in of.services)
        return replace(of, services=tuple(services))

    apps = (replace(app, processes=tuple(map(process, app.processes))) for app in report.apps)
    return replace(report, apps=tuple(apps))


def _app(stack: StackPolicy, app: AppPolicy, blocker: str | None, memory: Memory, readings: Readings) -> AppReport:
    processes = []
    of_app = _of_app(stack, app, blocker)
    for process in app.processes:
        services = [
            _service(process, unit, instance_of(unit), _with_group(stack, memory, unit) or of_app, readings)
            for unit in services_of(process, readings.units)
        ]
        processes.append(ProcessReport(process, tuple(services)))
    return AppReport(stack, app, tuple(processes))


def blockers(stack: StackPolicy, readings: Readings) -> dict[str, str]:
    """Return, for each app that is kept from starting, the dependency at the root of it.

    Apps are in start order, so what an app depends on has been judged before it.
    """
    closed = {app.name for app in stack.apps if app.gate and readings.unit(app.gate).active == "failed"}
    roots_by_app: dict[str, str] = {}
    for app in stack.apps:
        roots = [roots_by_app.get(name) or (name if name in closed else None) for name in app.depends_on]
        root = next((name for name in roots if name), None)
        if root:
            roots_by_app[app.name] = root
    return roots_by_app


def _service(
    process: ProcessPolicy, unit: str, instance: int | None, obstacle: Obstacle | None, readings: Readings
) -> ServiceReport:
    usage = usage_of(readings, unit)
    status = _status(unit, readings)
    online = status == "online" and usage.started is not None
    uptime = max(0.0, readings.boot_time - (usage.started or 0.0)) if online else 0.0
    crashed = readings.records.get(unit)
    return ServiceReport(
        unit=unit,
        instance=instance,
        status=status,
        pid=usage.pid if status in ("online", "stopping") else None,
        cpu=100 * usage.cpu / uptime if uptime > 0 else 0.0,
        cpu_time=usage.cpu,
        memory=usage.memory if status in ("online", "stopping", "starting") else 0,
        uptime=uptime,
        restarts=crashed.restarts if crashed else 0,
        condition=_condition(process, unit, status, obstacle, readings),
        follows=obstacle.follows if obstacle and status in ("stopped", "stopping") else None,
        budget_left=_budget_left(process, unit, status, readings),
        next_start=_next_start(unit, status, readings),
        last_exit=crashed.last_exit if crashed else None,
    )


def _budget_left(process: ProcessPolicy, unit: str, status: Status, readings: Readings) -> int | None:
    if process.restarts.record is None:
        return None
    if status in ("crashed", "errored"):
        return 0
    return max(0, process.restarts.max_restarts - readings.recent.get(unit, 0))


def _next_start(unit: str, status: Status, readings: Readings) -> float | None:
    record = readings.records.get(unit)
    if status != "starting" or record is None or record.next is None or record.next <= readings.monotonic:
        return None
    return record.next - readings.monotonic


def _status(unit: str, readings: Readings) -> Status:
    state = readings.unit(unit)
    if state.load in REFUSED and state.active == "inactive":
        return "errored"
    if state.active == "failed":
        record = readings.records.get(unit)
        never_up = record is not None and record.last_exit is not None and record.last_exit.result == "timeout"
        return "errored" if never_up else "crashed"
    statuses: dict[str, Status] = {
        "active": "online",
        "reloading": "online",
        "activating": "starting",
        "deactivating": "stopping",
    }
    return statuses.get(state.active, "stopped")


class Obstacle(NamedTuple):
    """Why a service is down that did not fail itself, and the app or service that it follows, if any."""

    condition: Condition
    follows: str | None


def _of_app(stack: StackPolicy, app: AppPolicy, blocker: str | None) -> Obstacle | None:
    """Return what keeps all services of an app down."""
    blocked = Condition(ConditionKind.BLOCKED, str(Address(stack.stack, blocker))) if blocker else None
    if not app.enabled:
        return Obstacle(Condition(ConditionKind.NOT_ENABLED), blocker)
    return Obstacle(blocked, blocker) if blocked else None


def _with_group(stack: StackPolicy, memory: Memory, unit: str) -> Obstacle | None:
    """Return what keeps a service down with its group."""
    trigger = memory.recovery.trigger
    if trigger and unit in memory.recovery.pending:
        return Obstacle(Condition(ConditionKind.GROUP_RESTARTING, stack.full_address(trigger)), trigger)
    reason = memory.reasons.get(unit)
    return Obstacle(of_reason(reason, stack.full_address(reason.by)), reason.by) if reason else None


def _condition(
    process: ProcessPolicy, unit: str, status: Status, obstacle: Obstacle | None, readings: Readings
) -> Condition | None:
    if status in ("crashed", "errored"):
        return _of_failure(unit, status, readings)
    if status == "online":
        return _checks_failing(process, unit, readings) or _self_reported(unit, readings)
    if status == "stopped":
        return obstacle.condition if obstacle else _socket_failed(process, readings)
    if status == "starting":
        return _of_start(process, unit, status, readings)
    return None


def _of_failure(unit: str, status: Status, readings: Readings) -> Condition:
    if status == "errored" and readings.unit(unit).load in REFUSED:
        return Condition(ConditionKind.UNIT_REFUSED, unit)
    record = readings.records.get(unit)
    if record and record.final:
        return Condition(ConditionKind.GIVEN_UP, detail=record.final.reason)
    return Condition(ConditionKind.FAILED)


def _checks_failing(process: ProcessPolicy, unit: str, readings: Readings) -> Condition | None:
    check, record = readings.checks.get(unit), readings.records.get(unit)
    last = record.last_exit if record else None
    # What was asked before the last crash was asked of its predecessor.
    if not process.retries or not check or not check.failures or (last and check.at < last.at):
        return None
    return Condition(
        ConditionKind.CHECKS_FAILING, detail=check.message, failures=check.failures, retries=process.retries
    )


SELF_REPORTED: dict[status_line.State, ConditionKind] = {
    "degraded": ConditionKind.SELF_REPORTED_DEGRADED,
    "unhealthy": ConditionKind.SELF_REPORTED_UNHEALTHY,
}


def _own_line(unit: str, readings: Readings) -> status_line.StatusLine:
    """Return what a service says of itself, fit for somebody's terminal."""
    text = readings.notes.get(unit, "")
    return status_line.decode("".join(character if character.isprintable() else "?" for character in text))


def _self_reported(unit: str, readings: Readings) -> Condition | None:
    line = _own_line(unit, readings)
    kind = SELF_REPORTED.get(line.state) if line.state else None
    return Condition(kind, detail=line.words) if kind else None


def _socket_failed(process: ProcessPolicy, readings: Readings) -> Condition | None:
    shut = next((name for name in process.sockets if readings.unit(name).active == "failed"), None)
    return Condition(ConditionKind.SOCKET_FAILED, shut, port=process.port) if shut else None


def _of_start(process: ProcessPolicy, unit: str, status: Status, readings: Readings) -> Condition | None:
    wait = _next_start(unit, status, readings)
    if wait is not None:
        left = _budget_left(process, unit, status, readings)
        return Condition(ConditionKind.BACKING_OFF, restarts_left=left, starts_in_s=wait)
    words = _own_line(unit, readings).words
    return _self_reported(unit, readings) or (Condition(ConditionKind.STARTING, detail=words) if words else None)
