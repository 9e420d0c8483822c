"""What is to be done in one stack now. Pure: policy, memory, states and crash record in; memory and jobs out.

Looked at whenever something changed, and always as a whole. So nothing depends on having seen every
change, and what is due is found again after the watcher, the bus or systemd itself was away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from omnitron.observe.policies import INFRA, AppPolicy, StackPolicy
from omnitron.observe.readings import services_of
from omnitron.supervision import strategy
from omnitron.supervision.memory import Awaited, Memory, Presumed, Reason
from omnitron.supervision.record import Record, UnitRecord
from omnitron.supervision.strategy import IDLE, Group, State

RUNNING = ("active", "reloading", "refreshing")
GOING_UP = ("start", "restart")
AFTERWARDS: dict[Awaited, Awaited] = {"awaited": "due", "due": "missing", "missing": "missing"}
"""What becomes of the record of a crash with each look at a unit that is done with it."""


@dataclass(frozen=True)
class Unit:
    """A unit in systemd's words: its ActiveState, and the type of its pending job (empty without one)."""

    active: str = "inactive"
    job: str = ""

    @property
    def is_online(self) -> bool:
        """Whether it is up, and stays so."""
        return self.active in RUNNING and self.job not in ("stop", "restart")

    @property
    def is_down(self) -> bool:
        """Whether it is down, with nothing under way that brings it up."""
        return self.active in ("inactive", "failed") and self.job not in GOING_UP

    @property
    def is_meant_to_run(self) -> bool:
        """Whether it is up or will be; between a crash and its restart too."""
        if self.job:
            return self.job in GOING_UP or (self.job != "stop" and self.active not in ("inactive", "failed"))
        return self.active not in ("inactive", "failed")


ABSENT = Unit()


@dataclass(frozen=True)
class View:
    """A stack at one moment: its units, and what has crashed."""

    units: Mapping[str, Unit]
    crashed: Mapping[str, UnitRecord]
    """What is on record, by unit."""
    order: tuple[str, ...] = ()
    """Units by the time of their last crash."""
    held: frozenset[str] = frozenset()
    """Units that an operator has stopped while they waited for their group."""
    failing: Mapping[str, str] = field(default_factory=dict)
    """Runs that have failed and are not yet cleaned up after, by unit: invocation ids."""

    def unit(self, name: str) -> Unit:
        """Return the state of a unit; one that is not loaded is inactive."""
        return self.units.get(name, ABSENT)

    def crashed_run(self, name: str) -> str:
        """Return the invocation id of the last run on record that crashed; empty where none has."""
        record = self.crashed.get(name)
        return record.last_exit.run if record and record.last_exit else ""


@dataclass(frozen=True)
class Job:
    """A job to queue."""

    verb: Literal["start", "stop"]
    unit: str
    reason: str


def group_of(stack: StackPolicy, view: View) -> Group | None:
    """Return the group that a stack's services are, added instances of pools too; None under one_for_one.

    The servers of a stack are nobody's siblings: a database that is back is no reason to restart apps.
    """
    if stack.strategy not in ("one_for_all", "rest_for_one"):
        return None
    members: list[str] = []
    pools = []
    for process in (process for app in stack.apps if app.mode != INFRA for process in app.processes):
        services = tuple(services_of(process, view.units))
        members += services
        if process.instances is not None:
            pools.append(services)
    return Group(stack.strategy, tuple(members), tuple(pools))  # type: ignore[arg-type] # one of the two


def view_of(units: Mapping[str, Unit], records: Iterable[Record], held: frozenset[str] = frozenset()) -> View:
    """Return what is known of a stack at one moment."""
    crashed: dict[str, UnitRecord] = {}
    for record in records:
        crashed |= record.units
    order = sorted(crashed, key=lambda unit: crashed[unit].last_exit or (0.0,))
    return View(units, crashed, tuple(order), held)


def ended_alone(stack: StackPolicy, view: View) -> list[str]:
    """Return the services that go down untold, and whose failure is the group's: whether they failed is to be asked."""
    if stack.strategy == "one_for_one":
        return []
    return [
        process.unit
        for app in stack.apps
        for process in app.processes
        if app.mode != INFRA and process.instances is None and process.restarts.record is not None
        if view.unit(process.unit) == Unit("deactivating")
    ]


def first_memory(view: View) -> Memory:
    """Return the memory of a watcher that comes to a stack anew: what crashed before is no concern of its."""
    return Memory(seen={unit: record.last_exit.at for unit, record in view.crashed.items() if record.last_exit})


def judge(
    stack: StackPolicy, memory: Memory, view: View, asked: frozenset[str], now: float
) -> tuple[Memory, tuple[Job, ...]]:
    """Return what is to be remembered before anything is done, and what is to be done.

    `asked` are the units for which the start that the recovery waits for was queued already; `now` is in
    unix seconds.
    """
    group = group_of(stack, view)
    if group:
        memory = _recorded(stack, group, memory, view, now)
        memory = _overdue(memory, view)
        memory = _presumed(stack, group, memory, view)
        memory = _progress(stack, group, memory, view, asked)
    else:
        # The strategy has changed: nothing of what was begun under the other one is to be finished.
        memory = replace(memory, presumed={}, recovery=IDLE, ending=())
    memory = replace(memory, reasons=_reasons(memory, view))
    return memory, tuple(_jobs(stack, group, memory, view))


def _recorded(stack: StackPolicy, group: Group, memory: Memory, view: View, now: float) -> Memory:
    """Take in every crash that has come on record, oldest first."""

    def is_final(unit: str) -> bool:
        record = view.crashed.get(unit)
        return view.unit(unit).is_down and bool(record and record.final)

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
            state, ended = strategy.gave_up(group, memory.recovery, unit, is_final)
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
    """Take in every crash that is not on record yet: whether it was the final one or not, the others go down.

    But where the last one never came on record: what nobody can count would restart the group without end.
    """
    for unit, run in view.failing.items():
        known = memory.presumed.get(unit)
        is_known = known is not None and (run == known.run or known.record == "missing")
        if not is_known and run != view.crashed_run(unit) and not memory.ending:
            memory = replace(memory, presumed={**memory.presumed, unit: Presumed(run)})
            memory = _crashed(stack, group, memory, view, unit)
    return memory


def _crashed(stack: StackPolicy, group: Group, memory: Memory, view: View, unit: str) -> Memory:
    """Return the memory after a crash that systemd follows with a restart."""
    if memory.ending:
        return memory
    was_active = memory.was_active
    if memory.recovery == IDLE:
        was_active = view.unit(stack.target).active in (*RUNNING, "activating")
    state = strategy.crashed(group, memory.recovery, unit, lambda member: view.unit(member).is_meant_to_run)
    return replace(memory, recovery=state, was_active=was_active)


def _ended(stack: StackPolicy, memory: Memory, by: str, ended: tuple[str, ...], why: str, now: float) -> Memory:
    if not ended:
        return memory
    text = f"ended with {stack.address_of(by)}, which {why}"
    reasons = {**memory.reasons, **{unit: Reason(now, by, text) for unit in ended}}
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


def _progress(stack: StackPolicy, group: Group, memory: Memory, view: View, asked: frozenset[str]) -> Memory:
    """Take in how far a recovery has come."""
    state = memory.recovery
    if state == IDLE:
        return memory
    if memory.was_active and view.unit(stack.target).active in ("inactive", "deactivating", "failed"):
        # Somebody stopped the whole stack meanwhile.
        return replace(memory, recovery=IDLE)
    trigger = state.trigger
    stopped = trigger is not None and view.unit(trigger) == Unit("inactive")
    if stopped and not memory.was_active:
        # Without the stack's target nothing tells its end from that of the crashed one alone: better too little.
        return replace(memory, recovery=IDLE)
    if trigger is not None:
        state = _trigger(group, state, trigger, view)
    for unit in view.held:
        state = strategy.given_back(group, state, unit)
    for unit in state.stopping:
        if view.unit(unit).is_down:
            state = strategy.down(group, state, unit)
    for unit in strategy.to_start(group, state):
        if view.unit(unit).is_online:
            state = strategy.online(group, state, unit)
        elif unit in asked and view.unit(unit).is_down:
            # Stopped by somebody, or kept from starting by a dependency, which starts it when it can.
            state = strategy.given_back(group, state, unit)
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
