"""Recovery of a group after the crash of one member. Pure: each function takes a state and returns the next.

A group is the stack under `one_for_all` or `rest_for_one`; its members are services, in start order. systemd
restarts the crashed member itself, after its own delay. The other members are stopped at once, in reverse order,
and started again in order; members after the crashed one wait until it is online. This is the behaviour of a
supervisor in OTP, where a child that crashes while others stop is simply one more stopped child.

The state stores the transitions that are still to be observed, not the jobs that were queued. So a watcher that
is killed at any point can read the state again, queue the jobs of `to_stop` and `to_start`, and finish.
"""

from __future__ import annotations

from ..light.namedtuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Literal

    Strategy = Literal["one_for_all", "rest_for_one"]


class Group(NamedTuple):
    """Services that are supervised together, in start order.

    An instance of a pool stops and restarts with the other members, but its own crash does not affect them: a pool
    has failed when its last instance has failed.
    """

    strategy: Strategy
    members: tuple[str, ...]
    pools: tuple[tuple[str, ...], ...] = ()
    """The instances of each pool."""

    def after(self, unit: str) -> tuple[str, ...]:
        """Return the members to restart or stop together with `unit`, in start order."""
        mates = {unit, *self.pool(unit)}
        rest_only = self.strategy == "rest_for_one" and unit in self.members
        members = self.members[self.members.index(unit) :] if rest_only else self.members
        return tuple(member for member in members if member not in mates)

    def pool(self, unit: str) -> tuple[str, ...]:
        """Return the instances of the pool of `unit`; empty for a single process."""
        return next((pool for pool in self.pools if unit in pool), ())


class State(NamedTuple):
    """A recovery in progress; all fields are empty if there is none.

    `trigger` is the crashed member that later members wait for; `stopping` are the members that were not yet seen
    down, `waiting` the members that are down and are to be started, both in start order.
    """

    trigger: str | None = None
    stopping: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()

    @property
    def pending(self) -> tuple[str, ...]:
        """Return the members that are to be started."""
        return (*self.stopping, *self.waiting)


IDLE = State()


def crashed(group: Group, state: State, unit: str, is_running: Callable[[str], bool]) -> State:
    """Return the state after a crash of `unit` that systemd restarts.

    `is_running` returns whether a member runs or starts: members that an operator has stopped stay stopped.
    """
    if unit not in group.members or group.pool(unit):
        return state
    trigger = state.trigger
    if unit in state.stopping or (unit in state.waiting and not is_running(unit)):
        # The recovery stops it already. The stop job may have been queued between the crash and the restart by
        # systemd, which then does not follow. So it is one more stopped member, and the trigger does not change.
        return state
    if trigger is not None and unit in state.waiting and unit not in to_start(group, state):
        # systemd restarts it although its turn has not come: members before it are not online yet. It has to be
        # stopped again, and then waits.
        return _state(group, trigger, {*state.stopping, unit}, {*state.waiting} - {unit})
    # A new trigger. Members that run are stopped (again); those already stopping or waiting stay in the recovery.
    stop = {member for member in group.after(unit) if is_running(member)}
    return _state(group, unit, {*state.stopping, *stop} - {unit}, {*state.waiting} - stop - {unit})


def gave_up(group: Group, state: State, unit: str, is_gone: Callable[[str], bool]) -> tuple[State, tuple[str, ...]]:
    """Return the state after the final crash of `unit`, and the members to stop with it, in stop order.

    This does not depend on `critical`: as in OTP, a used-up budget stops the group. `is_gone` returns whether an
    instance of the pool is down and nothing starts it.
    """
    alone = unit not in group.members or not all(is_gone(mate) for mate in group.pool(unit) if mate != unit)
    if alone:
        return _without(group, state, {unit}), ()
    ended = group.after(unit)
    return _without(group, state, {unit, *ended}), ended[::-1]


def online(group: Group, state: State, unit: str) -> State:
    """Return the state after `unit` has become active."""
    if unit == state.trigger:
        return _state(group, None, state.stopping, state.waiting)
    # A member that is active before its turn was started by somebody else: it stays in the recovery.
    return _without(group, state, {unit}) if unit in to_start(group, state) else state


def down(group: Group, state: State, unit: str) -> State:
    """Return the state after `unit` has stopped, or if it never ran."""
    if unit == state.trigger:
        return _state(group, None, state.stopping, state.waiting)
    if unit in state.stopping:
        return _state(group, state.trigger, {*state.stopping} - {unit}, {*state.waiting, unit})
    return state


def excluded(group: Group, state: State, unit: str) -> State:
    """Return the state if `unit` is not to be started any more, because of an operator or a dependency."""
    return _without(group, state, {unit})


def to_stop(state: State) -> tuple[str, ...]:
    """Return the members to stop now, in stop order."""
    return state.stopping[::-1]


def to_start(group: Group, state: State) -> tuple[str, ...]:
    """Return the members to start now, in start order; none before all are down.

    Members before the trigger do not wait for it, because it may depend on them; members after it do.
    """
    if state.stopping:
        return ()
    later = group.members.index(state.trigger) if state.trigger in group.members else len(group.members)
    return tuple(unit for unit in state.waiting if unit in group.members[:later])


def _without(group: Group, state: State, units: set[str]) -> State:
    trigger = None if state.trigger in units else state.trigger
    return _state(group, trigger, {*state.stopping} - units, {*state.waiting} - units)


def _state(group: Group, trigger: str | None, stopping: Iterable[str], waiting: Iterable[str]) -> State:
    """Return a state with its members in start order; IDLE if no member is stopping or waiting."""
    stopping, waiting = set(stopping), set(waiting)
    if not stopping and not waiting:
        return IDLE
    return State(
        trigger,
        tuple(member for member in group.members if member in stopping),
        tuple(member for member in group.members if member in waiting),
    )
