"""Health sweeps: one timer and one service for all processes of a stack that are asked at the same interval."""

from __future__ import annotations

from collections.abc import Iterator

from omnitron.planner.facts import HostFacts
from omnitron.planner.resolve.process import PlannedProcess
from omnitron.planner.units.names import StackNames, period
from omnitron.planner.units.stack import Apps
from omnitron.planner.units.values import Command, Literal, Own, Unit, Value
from omnitron.supervision.state.probes import Probe, StackProbes

AT_ONCE = 16
"""Number of probes that run side by side."""
MOST = 64
"""Instances of a pool for which there is time in one sweep."""
SPARE_MS = 10_000
"""Time of a sweep beside its probes."""


def intervals(apps: Apps) -> list[int]:
    """Return the distinct intervals of a stack's outside probes, in milliseconds."""
    return sorted({process.probe.interval for process in _probed(apps) if process.probe})


def timers(stack: StackNames, apps: Apps) -> tuple[str, ...]:
    """Return the units that the stack's target starts."""
    return tuple(f"{stack.sweep(interval)}.timer" for interval in intervals(apps))


def units(stack: StackNames, apps: Apps, facts: HostFacts) -> Iterator[Unit]:
    """Yield the timer and the service of each interval."""
    for interval in intervals(apps):
        name = stack.sweep(interval)
        shared: dict[str, Value] = {
            "source": stack.source,
            "part_of": stack.stack_target,
            **stack.identity(),
        }
        every = f"{interval}ms"
        timer: dict[str, Value] = {
            "description": Literal(f"health of {stack.stack} of {stack.project} every {every}"),
            "on_active_sec": every,
            "on_unit_active_sec": every,
            "accuracy_sec": f"{min(interval // 10, 1000)}ms",
        }
        probed = [process for process in _probed(apps) if process.probe and process.probe.interval == interval]
        service: dict[str, Value] = {
            "description": Literal(f"health sweep of {stack.stack} of {stack.project} every {every}"),
            "slice": stack.stack_slice,
            "exec_start": _command(stack, interval, facts),
            "timeout_start_sec": f"{_longest(probed)}ms",
        }
        yield Unit(f"{name}.timer", "health-timer", shared | timer)
        yield Unit(f"{name}.service", "health-sweep", shared | service)


def probes_name(stack: StackNames, interval: int) -> str:
    """Return the name of the file with a sweep's probes, below the folder of policies."""
    return f"{stack.stem}.probes-{period(interval)}.json"


def probes(stack: StackNames, apps: Apps) -> Iterator[tuple[str, StackProbes]]:
    """Yield the name and the content of the file with the probes of each interval."""
    for interval in intervals(apps):
        each = tuple(
            Probe(
                process.unit,
                process.probe.kind,
                process.probe.argv,
                process.probe.timeout,
                process.probe.retries,
                process.probe.start_period,
            )
            for process in _probed(apps)
            if process.probe and process.probe.interval == interval
        )
        yield probes_name(stack, interval), StackProbes(stack.source.text, stack.stem, each)


def _command(stack: StackNames, interval: int, facts: HostFacts) -> Command:
    user = ("--user",) if facts.is_user else ()
    argv = (*facts.helper("health_sweep"), *user)
    results = Own(f"%t/omnitron/{stack.prefix_part}/{stack.stem}.health-{interval}.json")
    return Command((*argv, "--probes", str(facts.specs / probes_name(stack, interval)), "--results", results))


def _longest(probed: list[PlannedProcess]) -> int:
    # A pool may have been scaled to more than it declares.
    count = sum(MOST if process.pool else 1 for process in probed)
    return -(-count // AT_ONCE) * max(process.probe.timeout for process in probed if process.probe) + SPARE_MS


def _probed(apps: Apps) -> list[PlannedProcess]:
    return [p for processes in apps.values() for p in processes if p.probe and not p.hosted]
