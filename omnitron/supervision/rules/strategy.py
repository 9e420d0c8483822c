"""What the crash of one process means for the others of its group. Pure: a state and an event in, a state out.

A group is the stack under `one_for_all` or `rest_for_one`; its members are services, in the order in which
they start. systemd restarts the crashed member itself, after its own delay. The others go down at once, in
reverse order, and come back in order, the later ones when the crashed one is online again: as in OTP, where
a supervisor restarts children; there a child that crashes while others go down is just one more that is down.

The state says what is still to be seen, not what was asked for. So whoever reads it after a kill at any
point, and acts as `to_stop` and `to_start` say, finishes what was begun.
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

    An instance of a pool is a member that restarts and stops with the others, and whose own crash is no
    concern of theirs: the pool has failed when its last instance has.
    """

    strategy: Strategy
    members: tuple[str, ...]
    pools: tuple[tuple[str, ...], ...] = ()
    """The instances of each pool."""

    def after(self, unit: str) -> tuple[str, ...]:
        """The members that the fate of `unit` is shared by, in start order."""
        mates = {unit, *self.pool(unit)}
        rest_only = self.strategy == "rest_for_one" and unit in self.members
        members = self.members[self.members.index(unit) :] if rest_only else self.members
        return tuple(member for member in members if member not in mates)

    def pool(self, unit: str) -> tuple[str, ...]:
        """The instances of the pool that `unit` belongs to; empty for a single process."""
        return next((pool for pool in self.pools if unit in pool), ())


class State(NamedTuple):
    """A recovery under way; all empty when there is none.

    `trigger` is the crashed member that the others wait for, `stopping` are those that have not been seen
    down yet, `waiting` those that are down and shall start, both in start order.
    """

    trigger: str | None = None
    stopping: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()

    @property
    def pending(self) -> tuple[str, ...]:
        """The members that will be started."""
        return (*self.stopping, *self.waiting)


IDLE = State()


def crashed(group: Group, state: State, unit: str, is_running: Callable[[str], bool]) -> State:
    """The state after a crash of `unit` that systemd follows with a restart.

    `is_running` tells which members run now, or are about to: one that an operator has stopped stays so.
    """
    if unit not in group.members or group.pool(unit):
        return state
    trigger = state.trigger
    if unit in state.stopping or (unit in state.waiting and not is_running(unit)):
        # It goes down, or is: what stopped it may have come between its crash and the restart by systemd.
        return state
    if trigger is not None and unit in state.waiting and unit not in to_start(group, state):
        # It was down already; systemd would bring it back too early.
        return _state(group, trigger, {*state.stopping, unit}, {*state.waiting} - {unit})
    stop = {member for member in group.after(unit) if is_running(member)}
    return _state(group, unit, {*state.stopping, *stop} - {unit}, {*state.waiting} - stop - {unit})


def gave_up(group: Group, state: State, unit: str, is_gone: Callable[[str], bool]) -> tuple[State, tuple[str, ...]]:
    """The state after the final crash of `unit`, and the members that end with it, in the order to stop them.

    Critical or not: a supervisor whose child has used up the budget ends its children. `is_gone` tells which
    instances of its pool are down, with nothing that brings them up.
    """
    alone = unit not in group.members or not all(is_gone(mate) for mate in group.pool(unit) if mate != unit)
    if alone:
        return _without(group, state, {unit}), ()
    ended = group.after(unit)
    return _without(group, state, {unit, *ended}), ended[::-1]


def online(group: Group, state: State, unit: str) -> State:
    """The state once `unit` is active."""
    if unit == state.trigger:
        return _state(group, None, state.stopping, state.waiting)
    # Before its time, it was somebody else who started it: it shares the group's restart all the same.
    return _without(group, state, {unit}) if unit in to_start(group, state) else state


def down(group: Group, state: State, unit: str) -> State:
    """The state once `unit` has stopped, or has never run."""
    if unit == state.trigger:
        return _state(group, None, state.stopping, state.waiting)
    if unit in state.stopping:
        return _state(group, state.trigger, {*state.stopping} - {unit}, {*state.waiting, unit})
    return state


def given_back(group: Group, state: State, unit: str) -> State:
    """The state when `unit` is no longer to be started: an operator, or a dependency, decided so."""
    return _without(group, state, {unit})


def to_stop(state: State) -> tuple[str, ...]:
    """The members to stop now, in the order to do it."""
    return state.stopping[::-1]


def to_start(group: Group, state: State) -> tuple[str, ...]:
    """The members to start now, in the order to do it: none before all are down.

    Those that start before the crashed one do not wait for it, for it may need them; the others do.
    """
    if state.stopping:
        return ()
    later = group.members.index(state.trigger) if state.trigger in group.members else len(group.members)
    return tuple(unit for unit in state.waiting if unit in group.members[:later])


def _without(group: Group, state: State, units: set[str]) -> State:
    trigger = None if state.trigger in units else state.trigger
    return _state(group, trigger, {*state.stopping} - units, {*state.waiting} - units)


def _state(group: Group, trigger: str | None, stopping: Iterable[str], waiting: Iterable[str]) -> State:
    """A state with its members in start order; nothing to wait for is no recovery."""
    stopping, waiting = set(stopping), set(waiting)
    if not stopping and not waiting:
        return IDLE
    return State(
        trigger,
        tuple(member for member in group.members if member in stopping),
        tuple(member for member in group.members if member in waiting),
    )
