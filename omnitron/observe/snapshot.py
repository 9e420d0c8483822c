"""Everything that a report needs to know of one moment: unit states, cgroups and crash records.

Taken once, then handed to the pure functions of `omnitron.observe.report`.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from omnitron.names import CRASH_RECORD, instance_of, instances_among
from omnitron.observe.cgroups import NOTHING, Usage, folder_of, read_usage
from omnitron.policy.model import ProcessPolicy, StackPolicy
from omnitron.supervision import messages
from omnitron.supervision.state import (
    crash_record,
    group_state,
    health_results,
    operator_stop,
    pending_start,
    run_notes,
    trusted_files,
)
from omnitron.supervision.state.crash_record import Exit, Final, Record, UnitRecord
from omnitron.supervision.state.group_state import Memory
from omnitron.supervision.state.health_results import Result
from omnitron.systemd.invocations import read_endings
from omnitron.systemd.systemctl import list_units, show
from omnitron.systemd.units import UnitState, absent

WITH_PROCESSES = ("active", "activating", "reloading", "deactivating")
"""ActiveState of a service that uses something."""


@dataclass(frozen=True)
class Readings:
    """The state of some stacks at one moment."""

    boot_time: float
    """Now: seconds since boot, suspended time included."""
    monotonic: float
    """Now: CLOCK_MONOTONIC, as crash records use it."""
    units: dict[str, UnitState]
    usage: dict[str, Usage]
    """By service name; only of those that run."""
    records: dict[str, UnitRecord]
    """By service name; only of those that have crashed."""
    recent: dict[str, int]
    """Crashes inside the window, by service name (of the whole stack under a group strategy)."""
    memories: dict[str, Memory]
    """The memory of the watcher, by the target of the stack; only where it has looked."""
    checks: dict[str, Result]
    """The last health check from outside, by service name; only of those that are asked."""
    notes: dict[str, str]
    """Status texts of process hosts (`degraded: …`), by service name; only where that was asked for."""

    def unit(self, name: str) -> UnitState:
        """Return the state of a unit; one that is not loaded is inactive."""
        return self.units.get(name) or absent(name)


def take(stacks: Iterable[StackPolicy], *, is_user: bool, records: Path, listens: bool = False) -> Readings:
    """Read the present state of `stacks`; `records` is the folder of crash records.

    With `listens`, what process hosts say of themselves too: that costs some milliseconds for each.
    """
    stacks = list(stacks)
    patterns = [pattern for stack in stacks for pattern in unit_patterns(stack)]
    units = list_units(patterns, is_user=is_user) if stacks else {}
    monotonic = time.clock_gettime(time.CLOCK_MONOTONIC)
    usage: dict[str, Usage] = {}
    crashed: dict[str, UnitRecord] = {}
    recent: dict[str, int] = {}
    files: dict[str, Record] = {}
    present = {f"{stack.prefix_part}/{name}" for stack in stacks for name in _names(records / stack.prefix_part)}
    for process in (process for stack in stacks for app in stack.apps for process in app.processes):
        for service in services_of(process, units):
            if (units.get(service) or absent(service)).active in WITH_PROCESSES:
                usage[service] = read_usage(folder_of(process.slice, service, is_user=is_user))
            file = _record_name(process, service)
            if file in present:
                if file not in files:
                    files[file] = crash_record.read(records / file)
                if service in files[file].units:
                    crashed[service] = files[file].units[service]
                recent[service] = _recent(files[file], process, monotonic)
    crashed |= counted_by_systemd(stacks, units, is_user=is_user)
    boot_time = time.clock_gettime(time.CLOCK_BOOTTIME)
    remembered = {
        stack.target: group_state.read(group_state.path_of(records, stack.prefix_part, stack.stem)) for stack in stacks
    }
    memories = {target: memory for target, memory in remembered.items() if memory}
    checks = {unit: result for stack in stacks for unit, result in checks_of(stack, records).items()}
    notes = notes_by(stacks, units, is_user=is_user, listens=listens)
    return Readings(boot_time, monotonic, units, usage, crashed, recent, memories, checks, notes)


def counted_by_systemd(
    stacks: Iterable[StackPolicy], units: Mapping[str, UnitState], *, is_user: bool
) -> dict[str, UnitRecord]:
    """Return records of the services that have none, because systemd alone restarts them."""
    processes = [process for stack in stacks for app in stack.apps for process in app.processes]
    bare = [process for process in processes if process.restarts.enabled and process.restarts.record is None]
    services = [service for process in bare for service in services_of(process, units) if service in units]
    entries: dict[str, UnitRecord] = {}
    if not services:
        return entries
    for unit, ending in read_endings(services, is_user=is_user).items():
        entry = entries[unit] = UnitRecord(ending.restarts)
        if ending.at is not None and ending.result != "success":
            entry.last_exit = Exit(ending.at, ending.result, ending.code, ending.status)
            if units[unit].active == "failed":
                crashed = messages.crashed(messages.cause(entry.last_exit), "")
                reason = f"{crashed}: {messages.GIVEN_UP_BY_SYSTEMD}"
                entry.final = Final(ending.at, reason)
    return entries


def notes_by(
    stacks: Iterable[StackPolicy], units: Mapping[str, UnitState], *, is_user: bool, listens: bool
) -> dict[str, str]:
    """Return what services say of themselves: those that start and, when it `listens`, all process hosts."""
    services = [
        service
        for stack in stacks
        for app in stack.apps
        for process in app.processes
        for service in services_of(process, units)
        if service in units and (units[service].active == "activating" or (listens and process.control))
    ]
    return {
        unit: shown.get("StatusText", "") for unit, shown in show(services, ["StatusText"], is_user=is_user).items()
    }


def of_stack(
    stack: StackPolicy,
    units: dict[str, UnitState],
    records: Iterable[Record],
    remembered: Memory,
    checks: dict[str, Result],
    notes: dict[str, str],
) -> Readings:
    """Return the readings of one stack from what somebody has at hand; what its services use is not among them."""
    of_unit = {unit: record for record in records for unit in record.units}
    crashed = {unit: record.units[unit] for unit, record in of_unit.items()}
    now, boot_time = time.clock_gettime(time.CLOCK_MONOTONIC), time.clock_gettime(time.CLOCK_BOOTTIME)
    recent = {
        service: _recent(of_unit[service], process, now)
        for app in stack.apps
        for process in app.processes
        for service in services_of(process, units)
        if service in of_unit
    }
    return Readings(boot_time, now, units, {}, crashed, recent, {stack.target: remembered}, checks, notes)


def _recent(content: Record, process: ProcessPolicy, now: float) -> int:
    """Return how many crashes of a record count against the budget of a process."""
    return sum(crash.at > now - process.restarts.window / 1000 for crash in content.crashes)


def unit_patterns(stack: StackPolicy) -> tuple[str, str]:
    """Return the glob patterns of a stack's units."""
    return stack.target, f"{stack.stem}-*"


def services_of(process: ProcessPolicy, units: Iterable[str]) -> list[str]:
    """Return the services of a process: those of its definition, and instances that `scale` has added."""
    running = instances_among(units, process.unit)
    return sorted(running | set(process.services), key=lambda name: instance_of(name) or 0)


def record_path(records: Path, process: ProcessPolicy, service: str) -> Path | None:
    """Return the crash record of a service; None when it has none. A template's is one for each instance."""
    name = _record_name(process, service)
    return records / name if name else None


def _record_name(process: ProcessPolicy, service: str) -> str | None:
    return process.restarts.record and process.restarts.record.replace(process.unit, service)


def records_of(stack: StackPolicy, records: Path) -> list[Record]:
    """Return every crash record of a stack: that of the group, or one for each service; none of an older strategy."""
    folder = records / stack.prefix_part
    recorded = {process.restarts.record for app in stack.apps for process in app.processes} - {None}
    names = {str(name).rpartition("/")[2] for name in recorded}
    mine = re.compile("|".join(re.escape(name).replace("@", r"@\d+") for name in names))
    return [crash_record.read(folder / name) for name in sorted(_names(folder)) if mine.fullmatch(name)]


def checks_of(stack: StackPolicy, records: Path) -> dict[str, Result]:
    """Return what the last health sweeps of a stack found, by service."""
    folder = records / stack.prefix_part
    entries: dict[str, Result] = {}
    for name in _names(folder):
        if name.startswith(f"{stack.stem}.health-") and name.endswith(".json"):
            for unit, result in health_results.read(str(folder / name)).items():
                # Another interval leaves an old file behind.
                if unit not in entries or entries[unit].at < result.at:
                    entries[unit] = result
    return entries


def _names(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(folder)]
    except OSError as error:
        trusted_files.raise_exhausted(error)
        return []


def forget(stack: StackPolicy, records: Path) -> None:
    """Remove the crash records of a stack that is no longer installed, as far as they may be."""
    folder = records / stack.prefix_part
    of_watcher = group_state.path_of(records, stack.prefix_part, stack.stem).name
    of_stack = (f"{stack.stem}{CRASH_RECORD}*", f"{stack.stem}.health-*", f"{of_watcher}*")
    suffixes = (
        CRASH_RECORD,
        pending_start.SUFFIX,
        operator_stop.SUFFIX,
        run_notes.STOP_SUFFIX,
        run_notes.CRASH_SUFFIX,
    )
    # Those of instances that were added, and of an earlier strategy, too.
    of_units = (f"{stack.stem}-*.service{end}*" for end in suffixes)
    for pattern in (*of_stack, *of_units):
        for file in folder.glob(pattern):
            with contextlib.suppress(OSError):
                file.unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()


def usage_of(readings: Readings, service: str) -> Usage:
    """Return what a service uses, nothing when it does not run."""
    return readings.usage.get(service, NOTHING)
