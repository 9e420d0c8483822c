"""What is to be done in one stack now. Pure: policy, memory, states and crash record in; memory and jobs out.

Looked at whenever something changed, and always as a whole. So nothing depends on having seen every
change, and what is due is found again after the watcher, the bus or systemd itself was away.
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
from omnitron.watcher.stack_view import View


@dataclass(frozen=True)
class Job:
    """A job to queue."""

    verb: Literal["start", "stop"]
    unit: str
    reason: str


def group_of(stack: StackPolicy, view: View, pending: tuple[str, ...] = ()) -> Group | None:
    """Return the group that a stack's services are, added instances of pools too; None under one_for_one.

    `pending` are those that a recovery will start: systemd forgets an added instance that is down. The servers
    of a stack are nobody's siblings: a database that is back is no reason to restart apps.
    """
    if stack.strategy not in ("one_for_all", "rest_for_one"):
        return None
    known = (*view.units, *pending)
    members: list[str] = []
    pools = []
    for process in (process for app in stack.apps if app.mode != INFRA for process in app.processes):
        services = tuple(services_of(process, known))
        members += services
        if process.instances is not None:
            pools.append(services)
    return Group(stack.strategy, tuple(members), tuple(pools))  # type: ignore[arg-type] # one of the two


def judge(
    stack: StackPolicy, memory: Memory, view: View, asked: frozenset[str], now: float
) -> tuple[Memory, tuple[Job, ...]]:
    """Return what is to be remembered before anything is done, and what is to be done.

    `asked` are the units for which the start that the recovery waits for was queued already; `now` is in
    unix seconds.
    """
    group = group_of(stack, view, memory.recovery.pending)
    if group:
        memory = crash_events.take_in(stack, group, memory, view, now)
        memory = _progress(stack, group, memory, view, asked)
    else:
        # The strategy has changed: nothing of what was begun under the other one is to be finished. And should it
        # change again, what crashes until then is no concern of the group.
        seen = {**memory.seen, **crash_events.first_memory(view).seen}
        memory = replace(memory, seen=seen, presumed={}, recovery=IDLE, ending=())
    memory = replace(memory, reasons=_reasons(memory, view))
    return memory, tuple(_jobs(stack, group, memory, view))


def _progress(stack: StackPolicy, group: Group, memory: Memory, view: View, asked: frozenset[str]) -> Memory:
    """Take in how far a recovery has come."""
    state = memory.recovery
    if state == IDLE:
        return memory
    is_active = view.unit(stack.target).is_to_be_up
    if memory.was_active and not is_active:
        # Somebody stopped the whole stack meanwhile.
        return replace(memory, recovery=IDLE)
    # A stack that was not complete yet when the recovery began can be stopped, too.
    memory = replace(memory, was_active=is_active)
    trigger = state.trigger
    stopped = trigger is not None and view.unit(trigger).active == "inactive" and not view.unit(trigger).job
    if stopped and not memory.was_active:
        # Without the stack's target nothing tells its end from that of the crashed one alone: better too little.
        return replace(memory, recovery=IDLE)
    if trigger is not None:
        state = _trigger(group, state, trigger, view)
    for unit in view.held:
        state = strategy.excluded(group, state, unit)
    for unit in state.stopping:
        if view.unit(unit).is_down:
            state = strategy.down(group, state, unit)
    for unit in strategy.to_start(group, state):
        if view.unit(unit).is_online:
            state = strategy.online(group, state, unit)
        elif unit in asked and view.unit(unit).is_down:
            # Stopped by somebody, or kept from starting by a dependency, which starts it when it can.
            state = strategy.excluded(group, state, unit)
    return replace(memory, recovery=state)


def _trigger(group: Group, state: State, trigger: str, view: View) -> State:
    unit = view.unit(trigger)
    if unit.is_online:
        return strategy.online(group, state, trigger)
    # An operator stopped it, or it has failed in a way that nobody counted: the others need not wait.
    return strategy.down(group, state, trigger) if unit.is_down else state


def _reasons(memory: Memory, view: View) -> dict[str, Reason]:
    """Keep the reasons of what is still down."""
    return {
        unit: reason
        for unit, reason in memory.reasons.items()
        if unit in memory.ending or not view.unit(unit).is_meant_to_run or view.unit(unit).active == "deactivating"
    }


def _jobs(stack: StackPolicy, group: Group | None, memory: Memory, view: View) -> Iterator[Job]:
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
    """Return those that are due and need none of those that still wait: gates stay open in a recovery."""
    needs = {service: app.depends_on for app in stack.apps for service in app.services}
    absent = {app.name for app in stack.apps if set(app.services) & set(waiting)}
    return [unit for unit in due if not absent.intersection(needs.get(unit, ()))]


def unblocked(stack: StackPolicy, view: View) -> list[str]:
    """Return the services that a failed dependency kept from starting, and that nothing keeps any more.

    A gate that has failed has let nobody pass since the stack started. What depends on it, directly or not,
    is started in one go: the gates keep the order.
    """
    if not view.unit(stack.target).is_online:
        return []

    def is_up(app: AppPolicy) -> bool:
        return all(view.unit(service).is_online for service in app.services)

    by_name = {app.name: app for app in stack.apps}
    coming: set[str] = set()
    units: list[str] = []
    for app in stack.apps:  # in start order: what an app depends on was judged before it
        needs = [by_name[name] for name in app.depends_on if name in by_name]
        shut = [need for need in needs if need.gate and view.unit(need.gate).active == "failed"]
        # A dependent of one that is coming was blocked with it: its gate cannot have opened.
        was_blocked = bool(shut) or any(need.name in coming for need in needs)
        is_free = all(need.name in coming or is_up(need) for need in needs)
        if app.enabled and was_blocked and is_free and _is_down(app, view):
            coming.add(app.name)
            units += [unit for process in app.processes for unit in (*process.sockets, *process.services)]
    return units


def _is_down(app: AppPolicy, view: View) -> bool:
    return all(view.unit(service).active == "inactive" and view.unit(service).is_down for service in app.services)
