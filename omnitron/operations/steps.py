"""Steps: the units to start, stop or restart, in order. Pure: policies and states in, steps out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from omnitron.names import GATEWAY, instances_among
from omnitron.planner.resolve.order import start_order, stop_order
from omnitron.policy.model import AppPolicy, ProcessPolicy, Selection, StackPolicy

Verb = Literal["start", "stop", "restart", "reload"]


@dataclass(frozen=True)
class Step:
    """Jobs that may run side by side; the next step waits until all of them have ended."""

    verb: Verb
    units: tuple[str, ...]
    reason: str


def units_to_start(app: AppPolicy, process: ProcessPolicy | None, instance: int | None) -> tuple[str, ...]:
    """Return the units that an address means to start: sockets before services."""
    if process is None:
        return tuple(unit for item in app.processes for unit in units_to_start(app, item, None))
    services = process.services if instance is None else (process.service(instance),)
    return (*process.sockets, *services)


def units_to_stop(app: AppPolicy, process: ProcessPolicy | None, instance: int | None) -> tuple[str, ...]:
    """Return the units that an address means to stop: with a whole process, its sockets too."""
    if process is None:
        processes = tuple(unit for item in app.processes for unit in units_to_stop(app, item, None))
        return (*processes, *([app.target] if app.target else []))
    return (process.service(instance),) if instance is not None else (*process.sockets, *process.services)


def stop_steps(stack: StackPolicy) -> list[Step]:
    """Return the steps that end a stack: lower priority first, dependents before what they need.

    Apps of equal priority stop in one step, in systemd's own order: the reverse of their start. The target has
    stopped before its members have: only jobs of their own tell when.
    """
    by_name = {app.name: app for app in stack.apps}
    order = stop_order(_graph(stack), {app.name: app.priority for app in stack.apps})
    whole = Step("stop", (stack.target, *stack.services), "the stack ends")
    if len({app.priority for app in stack.apps}) < 2:
        return [whole]
    steps = []
    for priority, names in groupby(order, key=lambda name: by_name[name].priority):
        units = tuple(unit for name in names for unit in units_to_stop(by_name[name], None, None))
        steps.append(Step("stop", units, f"shutdown priority {priority}"))
    return [*steps, whole]


def restart_steps(stack: StackPolicy, is_stale: Callable[[str], bool]) -> list[Step]:
    """Return the steps that restart what runs with an older definition, in start order: of pools one after another."""
    steps = []
    for app in in_start_order(stack):
        for process in app.processes:
            steps += [
                Step("restart", (service,), "its definition changed")
                for service in process.services
                if is_stale(service)
            ]
    return steps


def reload_steps(selections: Iterable[Selection], running: Collection[str]) -> list[Step]:
    """Return the steps that restart what runs of the selections one by one, apps in their order of start.

    What does not run stays so: a reload starts nothing.
    """
    steps = []
    for selection in selections:
        for process in [selection.process] if selection.process else selection.app.processes:
            services = selection.services if selection.process else process.services
            # Instances that `scale` has added are among those that run.
            added = instances_among(running, process.unit)
            mine = [*services, *sorted(added - set(services))] if selection.instance is None else list(services)
            # nginx takes over a new configuration as it runs.
            verb: Verb = "reload" if selection.app.name == GATEWAY else "restart"
            steps += [Step(verb, (name,), "reload") for name in mine if name in running]
    return steps


def in_start_order(stack: StackPolicy) -> list[AppPolicy]:
    """Return the apps so that each comes after what it depends on."""
    by_name = {app.name: app for app in stack.apps}
    return [by_name[name] for name in start_order(_graph(stack))]


def dependents(stack: StackPolicy, names: Iterable[str]) -> list[AppPolicy]:
    """Return the apps that depend on one of `names`, directly or not, in start order."""
    reached = set(names)
    dependent = []
    for app in in_start_order(stack):
        if reached & set(app.depends_on):
            reached.add(app.name)
            dependent.append(app)
    return dependent


def _graph(stack: StackPolicy) -> dict[str, tuple[str, ...]]:
    return {app.name: tuple(app.depends_on) for app in stack.apps}
