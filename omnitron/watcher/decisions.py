"""Decisions about one stack. Pure: policy, memory, states and crash record in; memory and jobs out.

The decision is made after each change, and always from the complete state. So it does not depend on seeing every
change, and a restart of the watcher, the bus or systemd loses no work.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from omnitron.observe.snapshot import services_of
from omnitron.policy.model import INFRA, AppPolicy, StackPolicy
from omnitron.supervision.rules import strategy
from omnitron.supervision.rules.strategy import IDLE, Group, State
from omnitron.supervision.state.group_state import Memory, Reason
from omnitron.watcher import crash_events
from omnitron.watcher.stack_view import GroupView


@dataclass(frozen=True)
class Job:
    """A job to queue."""

    verb: Literal["start", "stop"]
    unit: str
    reason: str


def group_of(stack: StackPolicy, view: GroupView, pending: tuple[str, ...] = ()) -> Group | None:
    """Return the group of the services of a stack, including added instances of pools; None under one_for_one.

    `pending` are the units that a recovery will start: systemd unloads an added instance that is down.
    Infrastructure services are no members: a restart of the database is no reason to restart apps.
    """
    if stack.strategy not in ("one_for_all", "rest_for_one"):
        return None
    names = (*view.units, *pending)
    members: list[str] = []
    pools = []
    for process in (process for app in stack.apps if app.mode != INFRA for process in app.processes):
        services = tuple(services_of(process, names))
        members += services
        if process.instances is not None:
            pools.append(services)
    return Group(stack.strategy, tuple(members), tuple(pools))  # type: ignore[arg-type] # one of the two


def judge(
    stack: StackPolicy, memory: Memory, view: GroupView, queued: frozenset[str], now: float
) -> tuple[Memory, tuple[Job, ...]]:
    """Return the new memory, to be stored before the jobs are queued, and the jobs.

    `queued` are the units whose start by the recovery is queued already; `now` is in unix seconds.
    """
    group = group_of(stack, view, memory.recovery.pending)
    if group:
        memory = crash_events.take_in(stack, group, memory, view, now)
        memory = _progress(stack, group, memory, view, queued)
    else:
        # The strategy may have changed to one_for_one: an unfinished recovery is dropped. Crashes count as taken in, so
        # that they do not restart the group if the strategy changes back.
        seen = {**memory.seen, **crash_events.first_memory(view).seen}
        memory = replace(memory, seen=seen, presumed={}, recovery=IDLE, ending=())
    memory = replace(memory, reasons=_reasons(memory, view))
    return memory, tuple(_jobs(stack, group, memory, view))


def _progress(stack: StackPolicy, group: Group, memory: Memory, view: GroupView, queued: frozenset[str]) -> Memory:
    """Return the memory after the progress of a recovery."""
    state = memory.recovery
    if state == IDLE:
        return memory
    is_active = view.unit(stack.target).is_to_be_up
    if memory.was_active and not is_active:
        # An operator stopped the whole stack meanwhile.
        return replace(memory, recovery=IDLE)
    # If the target was not active when the recovery began, it may have become active since.
    memory = replace(memory, was_active=is_active)
    trigger = state.trigger
    stopped = trigger is not None and view.unit(trigger).active == "inactive" and not view.unit(trigger).job
    if stopped and not memory.was_active:
        # Without an active target, a stop of the stack and a stop of only the trigger look the same. Assume the former.
        return replace(memory, recovery=IDLE)
    if trigger is not None:
        state = _trigger(group, state, trigger, view)
    for unit in view.operator_stops:
        state = strategy.excluded(group, state, unit)
    for unit in state.stopping:
        if view.unit(unit).is_down:
            state = strategy.down(group, state, unit)
    for unit in strategy.to_start(group, state):
        if view.unit(unit).is_online:
            state = strategy.online(group, state, unit)
        elif unit in queued and view.unit(unit).is_down:
            # An operator stopped it, or a failed dependency prevents the start; then `unblocked` starts it later.
            state = strategy.excluded(group, state, unit)
    return replace(memory, recovery=state)


def _trigger(group: Group, state: State, trigger: str, view: GroupView) -> State:
    unit = view.unit(trigger)
    if unit.is_online:
        return strategy.online(group, state, trigger)
    # An operator stopped it, or it failed without a counted crash: the others do not wait for it.
    return strategy.down(group, state, trigger) if unit.is_down else state


def _reasons(memory: Memory, view: GroupView) -> dict[str, Reason]:
    """Return the reasons of units that are still down."""
    return {
        unit: reason
        for unit, reason in memory.reasons.items()
        if unit in memory.ending or not view.unit(unit).is_meant_to_run or view.unit(unit).active == "deactivating"
    }


def _jobs(stack: StackPolicy, group: Group | None, memory: Memory, view: GroupView) -> Iterator[Job]:
    yield from (Job("stop", unit, "its group has failed") for unit in memory.ending)
    state = memory.recovery
    for unit in strategy.to_stop(state):
        if view.unit(unit).job not in ("stop", "restart"):
            yield Job("stop", unit, "a process of its group has crashed")
    if memory.is_undecided:
        return
    due = strategy.to_start(group, state) if group else ()
    for unit in _free(stack, state.waiting, due):
        if view.unit(unit).is_down:
            yield Job("start", unit, "its group is back")
    if state == IDLE and not memory.ending:
        yield from (Job("start", unit, "what it depends on is back") for unit in unblocked(stack, view))


def _free(stack: StackPolicy, waiting: tuple[str, ...], due: tuple[str, ...]) -> list[str]:
    """Return the due units that depend on no waiting one. Gates stay active in a recovery, so they do not order it."""
    needs = {service: app.depends_on for app in stack.apps for service in app.services}
    absent = {app.name for app in stack.apps if set(app.services) & set(waiting)}
    return [unit for unit in due if not absent.intersection(needs.get(unit, ()))]


def unblocked(stack: StackPolicy, view: GroupView) -> list[str]:
    """Return the services whose start a failed dependency prevented, and whose dependencies are all up now.

    A failed gate was never open since the start of the stack. All units that depend on it, directly or not, are
    started together: the gates ensure the order.
    """
    if not view.unit(stack.target).is_online:
        return []

    def is_up(app: AppPolicy) -> bool:
        return all(view.unit(service).is_online for service in app.services)

    by_name = {app.name: app for app in stack.apps}
    coming: set[str] = set()
    units: list[str] = []
    for app in stack.apps:  # in start order: dependencies come first
        needs = [by_name[name] for name in app.depends_on if name in by_name]
        shut = [need for need in needs if need.gate and view.unit(need.gate).active == "failed"]
        # An app that depends on a blocked one was blocked too: the gate between them cannot have opened.
        was_blocked = bool(shut) or any(need.name in coming for need in needs)
        is_free = all(need.name in coming or is_up(need) for need in needs)
        if app.enabled and was_blocked and is_free and _is_down(app, view):
            coming.add(app.name)
            units += [unit for process in app.processes for unit in (*process.sockets, *process.services)]
    return units


def _is_down(app: AppPolicy, view: GroupView) -> bool:
    return all(view.unit(service).active == "inactive" and view.unit(service).is_down for service in app.services)
