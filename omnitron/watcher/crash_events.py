"""The effect of crashes on the memory of a group. Pure.

A crash becomes visible in two ways. Its helper writes it to the crash record, but only after ExecStopPost= has run.
Systemd reports earlier that a service deactivates without a job; if its run has failed, the crash is "presumed" and
the group is stopped at once. Both ways report the same crash, so the invocation id of the run is stored, and each
crash is taken in only once.
"""

from __future__ import annotations

from dataclasses import replace

from omnitron.observe.conditions import of_reason
from omnitron.policy.model import INFRA, StackPolicy
from omnitron.supervision.rules import strategy
from omnitron.supervision.rules.strategy import IDLE, Group
from omnitron.supervision.state.group_state import GROUP_STOPPED, Awaited, Memory, Presumed, Reason
from omnitron.watcher.stack_view import GroupView

AFTERWARDS: dict[Awaited, Awaited] = {"awaited": "due", "due": "missing", "missing": "missing"}
"""The next state of the record of a presumed crash, at each look after the unit has finished deactivating."""


def ended_without_job(stack: StackPolicy, memory: Memory, view: GroupView) -> list[str]:
    """Return the services of the group that deactivate without a job; the caller reads if their runs have failed.

    Services with a presumed crash are left out. Either this is the same crash, or the record of the last one is
    missing; then crashes are not counted, and further ones would restart the group without end.
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


def first_memory(view: GroupView) -> Memory:
    """Return the memory of a watcher that is new to a stack: earlier crashes count as taken in."""
    return Memory(seen={unit: record.last_exit.at for unit, record in view.crashed.items() if record.last_exit})


def take_in(stack: StackPolicy, group: Group, memory: Memory, view: GroupView, now: float) -> Memory:
    """Return the memory after all new crashes; `now` is in unix seconds."""
    memory = _recorded(stack, group, memory, view, now)
    memory = _overdue(memory, view)
    return _presumed(stack, group, memory, view)


def _recorded(stack: StackPolicy, group: Group, memory: Memory, view: GroupView, now: float) -> Memory:
    """Take in all new crashes in the crash record, oldest first."""

    def is_gone(unit: str) -> bool:
        return view.unit(unit).is_down and unit not in memory.recovery.pending

    for unit in view.order:
        last, final = view.crashed[unit].last_exit, view.crashed[unit].final
        if unit not in group.members or last is None or memory.seen.get(unit) == last.at:
            continue
        presumed = dict(memory.presumed)
        # The record of a presumed crash arrives: the group is stopped already. A presumed crash of another run stays
        # until its own record arrives.
        crash = presumed.pop(unit, None)
        was_presumed = crash is not None and crash.run == last.run
        if crash and not was_presumed and crash.record != "missing":
            presumed[unit] = crash
        memory = replace(memory, seen={**memory.seen, unit: last.at}, presumed=presumed)
        if final and final.at == last.at:
            if view.unit(unit).is_to_be_up:
                # It happened while no watcher ran, and somebody has started the unit again since.
                continue
            state, ended = strategy.gave_up(group, memory.recovery, unit, is_gone)
            memory = _ended(stack, replace(memory, recovery=state), unit, ended, final.reason, now)
        elif not was_presumed:
            memory = _crashed(stack, group, memory, view, unit)
    return memory


def _overdue(memory: Memory, view: GroupView) -> Memory:
    """Stop waiting for records that do not come: no space was left to write, or an operator's stop came first.

    A look reads records before states. So the record of a unit that this look saw deactivated can be missing now,
    but must be present at the next look: AFTERWARDS allows one more look before it counts as missing.
    """
    presumed = {
        unit: crash if view.unit(unit).active == "deactivating" else crash._replace(record=AFTERWARDS[crash.record])
        for unit, crash in memory.presumed.items()
    }
    return replace(memory, presumed=presumed)


def _presumed(stack: StackPolicy, group: Group, memory: Memory, view: GroupView) -> Memory:
    """Take in the crashes that are not recorded yet. Final or not, the other members are stopped."""
    for unit, run in view.failing.items():
        if run != view.crashed_run(unit) and not memory.ending:
            memory = replace(memory, presumed={**memory.presumed, unit: Presumed(run)})
            memory = _crashed(stack, group, memory, view, unit)
    return memory


def _crashed(stack: StackPolicy, group: Group, memory: Memory, view: GroupView, unit: str) -> Memory:
    """Return the memory after a crash that systemd restarts."""
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
