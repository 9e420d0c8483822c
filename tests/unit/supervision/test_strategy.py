"""Strategies against a model of OTP's supervisor, and under histories that overlap."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnitron.supervision.rules import strategy
from omnitron.supervision.rules.strategy import IDLE, Group, State

if TYPE_CHECKING:
    from omnitron.supervision.rules.strategy import Strategy

UNITS = tuple("abcdef")
STRATEGIES: tuple[Strategy, ...] = ("one_for_all", "rest_for_one")


class Supervisor:
    """OTP's supervisor(3), as far as it restarts permanent children: synchronous, one exit at a time.

    On an exit it terminates what the strategy says in reverse order, then starts the same in order.
    """

    def __init__(self, kind: Strategy, children: tuple[str, ...]) -> None:
        self.kind, self.children = kind, children
        self.log: list[tuple[str, str]] = []

    def others(self, child: str) -> list[str]:
        place = self.children.index(child)
        rest = self.children if self.kind == "one_for_all" else self.children[place:]
        return [one for one in rest if one != child]

    def exits(self, child: str) -> None:
        self.log += [("stop", one) for one in reversed(self.others(child))]
        self.log += [("start", one) for one in self.others(child)]

    def gives_up(self, child: str) -> None:
        self.log += [("stop", one) for one in reversed(self.others(child))]


class Systemd:
    """Units that obey, and the watcher that acts on them, in as many steps as it takes."""

    def __init__(self, kind: Strategy, members: tuple[str, ...] = UNITS, pools: tuple[tuple[str, ...], ...] = ()):
        self.group = Group(kind, members, pools)
        self.up = dict.fromkeys(members, True)
        self.coming: set[str] = set()
        """Crashed, and restarted by systemd after its delay."""
        self.starts = dict.fromkeys(members, 0)
        self.final: set[str] = set()
        self.halting: set[str] = set()
        """Stopped, which is seen at the next look."""
        self.unheard: list[str] = []
        """Crashes that are recorded when the watcher has looked once more: their helpers still run."""
        self.state = IDLE
        self.log: list[tuple[str, str]] = []

    def runs(self, unit: str) -> bool:
        return self.up[unit] or unit in self.coming

    def crash(self, unit: str, *, late: bool = False) -> None:
        self.up[unit] = False
        self.coming.add(unit)
        if late:
            self.unheard.append(unit)
            return
        self.state = strategy.crashed(self.group, self.state, unit, self.runs)

    def give_up(self, unit: str) -> tuple[str, ...]:
        self.up[unit] = False
        self.coming.discard(unit)
        self.final.add(unit)
        self.state, ended = strategy.gave_up(self.group, self.state, unit, self.final.__contains__)
        for one in ended:
            self._stop(one)
        return ended

    def stop_by_hand(self, unit: str) -> None:
        self.up[unit] = False
        self.coming.discard(unit)
        self.state = strategy.excluded(self.group, self.state, unit)

    def come_back(self, unit: str) -> None:
        """What systemd does once the delay of a crashed unit is over."""
        if unit in self.coming:
            self.coming.discard(unit)
            self.up[unit] = True
            self.starts[unit] += 1

    def act(self) -> None:
        """One look of the watcher: take in what is, then queue what follows."""
        trigger = self.state.trigger
        if trigger and self.up[trigger]:
            self.state = strategy.online(self.group, self.state, trigger)
        elif trigger and not self.runs(trigger):
            self.state = strategy.down(self.group, self.state, trigger)
        for unit in strategy.to_stop(self.state):
            if unit in self.halting:
                self.halting.discard(unit)
                self.state = strategy.down(self.group, self.state, unit)
            else:
                self._stop(unit)
                self.halting.add(unit)
        for unit in strategy.to_start(self.group, self.state):
            self.log.append(("start", unit))
            self.up[unit] = True
            self.starts[unit] += 1
            self.state = strategy.online(self.group, self.state, unit)
        for unit in self.unheard:
            self.state = strategy.crashed(self.group, self.state, unit, self.runs)
        self.unheard = []

    def _stop(self, unit: str) -> None:
        if self.runs(unit):
            self.log.append(("stop", unit))
        self.up[unit] = False
        self.coming.discard(unit)

    def settle(self) -> None:
        for _ in range(20):
            self.act()
            for unit in sorted(self.coming):
                self.come_back(unit)


@pytest.mark.parametrize("kind", STRATEGIES)
@given(crashes=st.lists(st.sampled_from(UNITS), max_size=20))
def test_one_crash_after_the_other_is_what_otp_does(kind: Strategy, crashes: list[str]) -> None:
    model, systemd = Supervisor(kind, UNITS), Systemd(kind)
    for unit in crashes:
        model.exits(unit)
        systemd.crash(unit)
        systemd.settle()
        assert systemd.state == IDLE
    assert systemd.log == model.log
    assert all(systemd.up.values())


@pytest.mark.parametrize("kind", STRATEGIES)
@pytest.mark.parametrize("unit", UNITS)
def test_a_final_crash_ends_what_otp_ends(kind: Strategy, unit: str) -> None:
    model, systemd = Supervisor(kind, UNITS), Systemd(kind)
    model.gives_up(unit)
    ended = systemd.give_up(unit)
    systemd.settle()
    assert systemd.log == model.log
    assert ended == tuple(reversed(model.others(unit)))
    assert {one for one, up in systemd.up.items() if up} == {*UNITS} - {unit, *ended}


STEP = st.tuples(st.sampled_from(["crash", "late", "act", "back", "stop", "give up", "forget"]), st.sampled_from(UNITS))


@pytest.mark.parametrize("kind", STRATEGIES)
@settings(max_examples=1500, deadline=None)
@given(history=st.lists(STEP, max_size=40))
def test_histories_that_overlap(kind: Strategy, history: list[tuple[str, str]]) -> None:
    """Crashes while others stop, start or wait; operators; a watcher that is killed between any two steps."""
    systemd = Systemd(kind)
    meant: set[str] = set(UNITS)
    owed: dict[str, int] = {}
    """For each member that shares a restart: how often it must have been started at least, at the end."""
    for what, unit in history:
        if what == "crash" and systemd.runs(unit):
            # As in OTP, a child that ends while it is to be stopped is just down: nothing more follows.
            state = systemd.state
            due = strategy.to_start(systemd.group, state)
            absorbed = unit in state.stopping or (unit in state.waiting and unit not in due)
            sharing = [] if absorbed else [one for one in systemd.group.after(unit) if one in meant]
            systemd.crash(unit)
            owed |= {one: systemd.starts[one] + 1 for one in sharing if one not in systemd.coming}
        elif what == "late" and systemd.runs(unit):
            systemd.crash(unit, late=True)
        elif what == "act":
            systemd.act()
        elif what == "back":
            systemd.come_back(unit)
        elif what == "stop":
            meant.discard(unit)
            owed.pop(unit, None)
            systemd.stop_by_hand(unit)
        elif what == "give up" and systemd.runs(unit):
            for one in (unit, *systemd.give_up(unit)):
                meant.discard(one)
                owed.pop(one, None)
        else:
            # All that a new watcher knows is the state.
            systemd.state = State(*systemd.state)
    systemd.settle()
    assert systemd.state == IDLE
    assert {unit for unit, up in systemd.up.items() if up} == meant
    assert all(systemd.starts[unit] >= times for unit, times in owed.items())


@pytest.mark.parametrize("kind", STRATEGIES)
def test_thousands_of_seeded_histories(kind: Strategy) -> None:
    """The same with a plain generator, so that the number of histories is known."""
    for seed in range(2000):
        chance = random.Random(seed)
        systemd = Systemd(kind)
        for _ in range(chance.randrange(30)):
            unit = chance.choice(UNITS)
            match chance.randrange(3):
                case 0 if systemd.runs(unit):
                    systemd.crash(unit, late=chance.random() < 0.5)
                case 1:
                    systemd.act()
                case 2:
                    systemd.come_back(unit)
        systemd.settle()
        assert (systemd.state, all(systemd.up.values())) == (IDLE, True), seed


def test_who_waits_for_whom() -> None:
    """Nobody starts before all are down; then those before the crashed one; it may need them."""
    systemd = Systemd("one_for_all", ("a", "b", "c"))
    systemd.crash("b")
    assert strategy.to_stop(systemd.state) == ("c", "a")
    systemd.state = strategy.down(systemd.group, systemd.state, "a")
    assert strategy.to_start(systemd.group, systemd.state) == ()
    systemd.state = strategy.down(systemd.group, systemd.state, "c")
    assert strategy.to_start(systemd.group, systemd.state) == ("a",)
    systemd.state = strategy.online(systemd.group, systemd.state, "c")
    assert systemd.state == State("b", (), ("a", "c"))
    systemd.state = strategy.online(systemd.group, systemd.state, "b")
    assert strategy.to_start(systemd.group, systemd.state) == ("a", "c")


def test_an_earlier_crash_takes_over() -> None:
    systemd = Systemd("rest_for_one", ("a", "b", "c"))
    systemd.crash("b")
    systemd.crash("a")
    assert systemd.state == State("a", ("b", "c"), ())


def test_a_later_crash_joins() -> None:
    systemd = Systemd("rest_for_one", ("a", "b", "c"))
    systemd.crash("a")
    systemd.crash("c")
    assert systemd.state == State("a", ("b", "c"), ())


def test_a_start_that_fails_is_the_next_crash() -> None:
    systemd = Systemd("one_for_all", ("a", "b", "c"))
    systemd.crash("a")
    systemd.state = State(None, (), ("b", "c"))
    systemd.up = {"a": True, "b": True, "c": False}
    systemd.crash("b")
    assert systemd.state == State("b", ("a",), ("c",))


def test_an_instance_of_a_pool_is_its_own_concern_until_it_is_the_last() -> None:
    systemd = Systemd("one_for_all", ("a", "p1", "p2", "z"), (("p1", "p2"),))
    systemd.crash("p1")
    assert systemd.state == IDLE
    systemd.crash("a")
    assert systemd.state.stopping == ("p1", "p2", "z")
    systemd.settle()
    assert systemd.give_up("p1") == ()
    assert systemd.give_up("p2") == ("z", "a")


@pytest.mark.parametrize("kind", STRATEGIES)
def test_a_stranger_changes_nothing(kind: Strategy) -> None:
    group, state = Group(kind, ("a", "b")), State("a", ("b",), ())
    assert strategy.crashed(group, state, "x", lambda _: True) == state
    assert strategy.gave_up(group, state, "x", lambda _: True) == (state, ())
    assert strategy.online(group, state, "x") == strategy.down(group, state, "x") == state


def test_a_group_of_one_has_nothing_to_do() -> None:
    assert strategy.crashed(Group("one_for_all", ("a",)), IDLE, "a", lambda _: True) == IDLE
