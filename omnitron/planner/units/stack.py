"""The units that group others: targets, slices, and the end of a critical app."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from omnitron import names
from omnitron.planner.facts import HostFacts
from omnitron.planner.resolve.process import PlannedProcess
from omnitron.planner.units.names import StackNames
from omnitron.planner.units.values import Command, Literal, Own, Unit, Value

Apps = dict[str, tuple[PlannedProcess, ...]]
"""The processes of each app of a stack, in the order of declaration."""


def units_of_stack(
    stack: StackNames, apps: Apps, disabled: frozenset[str], more: tuple[str, ...], facts: HostFacts
) -> Iterator[Unit]:
    """Yield the target and slice of a stack and, where an app is critical, what ends the stack.

    The target starts the units `more` too.
    """
    started = {name: processes for name, processes in apps.items() if name not in disabled}
    install_target = "default.target" if facts.is_user else "multi-user.target"
    target: dict[str, Value] = {
        "description": Literal(f"stack {stack.stack} of {stack.project}"),
        "wants": _lines(
            [*(unit for name, processes in started.items() for unit in members(stack, name, processes)), *more]
        ),
        "wanted_by": install_target,
    }
    yield _unit(stack, stack.stack_target, "stack-target", target)
    # The first of the stack to start brings the watcher, and waits no moment for it: a target would.
    slice_: dict[str, Value] = {
        "description": Literal(f"stack {stack.stack} of {stack.project}"),
        "wants": names.WATCHER,
    }
    yield _unit(stack, stack.stack_slice, "slice", slice_)
    critical = [process for processes in apps.values() for process in processes if process.critical]
    if critical:
        yield from _end_of_stack(stack, critical, facts)


def _end_of_stack(stack: StackNames, critical: list[PlannedProcess], facts: HostFacts) -> Iterator[Unit]:
    """Yield the target that takes the stack down, and the service that decides whether to start it."""
    target: dict[str, Value] = {
        "description": Literal(f"end of stack {stack.stack} of {stack.project}: a critical app has failed"),
        "conflicts": stack.stack_target,
    }
    yield _unit(stack, stack.critical_target, "critical-target", target)
    groups = [word for process in critical for word in ("--", names.pool_pattern(process.unit))][1:]
    user = ("--user",) if facts.is_user else ()
    notes = Own(f"%t/omnitron/{stack.prefix_part}")
    words = (str(facts.helpers / "critical_check.sh"), *user, notes, stack.critical_target, *groups)
    check: dict[str, Value] = {
        "description": Literal(f"whether stack {stack.stack} of {stack.project} ends: a critical app has failed"),
        "slice": stack.stack_slice,
        "exec_start": Command(("/bin/sh", *words)),
    }
    yield _unit(stack, stack.critical_check, "critical-check", check)


def members(stack: StackNames, app: str, processes: tuple[PlannedProcess, ...]) -> tuple[str, ...]:
    """Return the units that the stack's target starts for one app.

    The processes of several too: a start of an app's target that is active already would start none of them.
    """
    target = (stack.app_target(app),) if len(processes) > 1 else ()
    return (*target, *(unit for process in processes for unit in (*process.socket_units, *process.services)))


def units_of_app(stack: StackNames, app: str, processes: tuple[PlannedProcess, ...]) -> Iterator[Unit]:
    """Yield the target and slice of an app of several processes."""
    if len(processes) > 1:
        units = [unit for process in processes for unit in (*process.socket_units, *process.services)]
        description = Literal(f"{stack.stack}/{app}")
        values: dict[str, Value] = {
            "description": description,
            "part_of": stack.stack_target,
            "wants": _lines(units),
        }
        yield _unit(stack, stack.app_target(app), "app-target", values, app)
        yield _unit(stack, stack.app_slice(app), "slice", {"description": description}, app)


def _unit(stack: StackNames, name: str, template: str, values: dict[str, Value], app: str | None = None) -> Unit:
    return Unit(name, template, {"source": stack.source, **values, **stack.identity(app)}, app)


def _lines(units: Iterable[str]) -> tuple[str, ...] | None:
    """One line per unit: a long list reads, and compares, better."""
    return tuple(units) or None
