"""What the crashes in a group come to, each taken in once: when systemd knows of it, or when it is on record. Pure."""

from __future__ import annotations

from dataclasses import replace

from omnitron.observe.conditions import of_reason
from omnitron.policy.model import INFRA, StackPolicy
from omnitron.supervision.rules import strategy
from omnitron.supervision.rules.strategy import IDLE, Group
from omnitron.supervision.state.group_state import GROUP_STOPPED, Awaited, Memory, Presumed, Reason
from omnitron.watcher.stack_view import View

AFTERWARDS: dict[Awaited, Awaited] = {"awaited": "due", "due": "missing", "missing": "missing"}
"""What becomes of the record of a crash with each look at a unit that is done with it."""


def ended_alone(stack: StackPolicy, memory: Memory, view: View) -> list[str]:
    """Return the services that go down untold, and whose failure is the group's: whether they failed is to be asked.

    None whose crash was presumed: either it is known, or its last one never came on record, and what nobody can
    count would restart the group without end.
    """
    if stack.strategy == "one_for_one":
        return []
    return [
        process.unit
        for app in stack.apps
        for process in app.processes
        if app.mode != INFRA and process.instances is None and process.restarts.record is not None
        if view.unit(process.unit).is_ending and process.unit not in memory.presumed
    ]


def first_memory(view: View) -> Memory:
    """Return the memory of a watcher that comes to a stack anew: what crashed before is no concern of its."""
    return Memory(seen={unit: record.last_exit.at for unit, record in view.crashed.items() if record.last_exit})


def take_in(stack: StackPolicy, group: Group, memory: Memory, view: View, now: float) -> Memory:
    """Return the memory after all crashes that were not yet acted on; `now` is in unix seconds."""
    memory = _recorded(stack, group, memory, view, now)
    memory = _overdue(memory, view)
    return _presumed(stack, group, memory, view)


def _recorded(stack: StackPolicy, group: Group, memory: Memory, view: View, now: float) -> Memory:
    """Take in every crash that has come on record, oldest first."""

    def is_gone(unit: str) -> bool:
        return view.unit(unit).is_down and unit not in memory.recovery.pending

    for unit in view.order:
        last, final = view.crashed[unit].last_exit, view.crashed[unit].final
        if unit not in group.members or last is None or memory.seen.get(unit) == last.at:
            continue
        presumed = dict(memory.presumed)
        known = presumed.pop(unit, None)
        is_known = known is not None and known.run == last.run
        if known and not is_known and known.record != "missing":
            presumed[unit] = known
        memory = replace(memory, seen={**memory.seen, unit: last.at}, presumed=presumed)
        if final and final.at == last.at:
            if view.unit(unit).is_to_be_up:
                # Nobody was there to see it, and it has been mended since.
                continue
            state, ended = strategy.gave_up(group, memory.recovery, unit, is_gone)
            memory = _ended(stack, replace(memory, recovery=state), unit, ended, final.reason, now)
        elif not is_known:
            memory = _crashed(stack, group, memory, view, unit)
    return memory


def _overdue(memory: Memory, view: View) -> Memory:
    """Give up waiting for what will not come on record: there was no space for it, or an operator's stop came first.

    Records are read before states, so that the one of a unit that was seen to be done is there at the next look.
    """
    presumed = {
        unit: crash if view.unit(unit).active == "deactivating" else crash._replace(record=AFTERWARDS[crash.record])
        for unit, crash in memory.presumed.items()
    }
    return replace(memory, presumed=presumed)


def _presumed(stack: StackPolicy, group: Group, memory: Memory, view: View) -> Memory:
    """Take in every crash that is not on record yet: whether it was the final one or not, the others go down."""
    for unit, run in view.failing.items():
        if run != view.crashed_run(unit) and not memory.ending:
            memory = replace(memory, presumed={**memory.presumed, unit: Presumed(run)})
            memory = _crashed(stack, group, memory, view, unit)
    return memory


def _crashed(stack: StackPolicy, group: Group, memory: Memory, view: View, unit: str) -> Memory:
    """Return the memory after a crash that systemd follows with a restart."""
    if memory.ending:
        return memory
    was_active = memory.was_active
    if memory.recovery == IDLE:
        was_active = view.unit(stack.target).is_to_be_up
    state = strategy.crashed(group, memory.recovery, unit, lambda member: view.unit(member).is_meant_to_run)
    return replace(memory, recovery=state, was_active=was_active)


def _ended(stack: StackPolicy, memory: Memory, by: str, ended: tuple[str, ...], why: str, now: float) -> Memory:
    if not ended:
        return memory
    reason = Reason(now, by, "", GROUP_STOPPED, why)
    reason = reason._replace(text=of_reason(reason, stack.full_address(by)).text)
    reasons = {**memory.reasons, **dict.fromkeys(ended, reason)}
    if stack.strategy == "one_for_all":
        return replace(memory, ending=_joined(memory.ending, (stack.target, *ended)), reasons=reasons)
    gone = set(ended)
    sockets = [
        name
        for app in stack.apps
        for process in app.processes
        if gone.issuperset(process.services)
        for name in process.sockets
    ]
    return replace(memory, ending=_joined(memory.ending, (*ended, *sockets)), reasons=reasons)


def _joined(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))
