"""What is to be done in a stack, from what is known of it: no bus, no clock."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitron.policy.model import AppPolicy, RestartsPolicy, StackPolicy
from omnitron.supervision.rules.strategy import IDLE, State
from omnitron.supervision.state.crash_record import Exit, Final, Record, UnitRecord
from omnitron.supervision.state.group_state import GROUP_STOPPED, Memory, Presumed
from omnitron.systemd.units import UnitState
from omnitron.watcher.crash_events import ended_without_job, first_memory
from omnitron.watcher.decisions import judge, unblocked
from omnitron.watcher.stack_view import GroupView, view_of
from tests.support.policies import policy

TARGET = "omnitron-dev.target"


def state_of(active: str, job: str = "") -> UnitState:
    return UnitState("some.service", active, job)


UP, GONE, FAILED, COMING = state_of("active"), state_of("inactive"), state_of("failed"), state_of("activating", "start")
CRASHING = state_of("deactivating")


def service(name: str) -> str:
    return f"omnitron-dev-{name}-main.service"


def gate(name: str) -> str:
    return f"omnitron-dev-{name}-ready.service"


def stack(folder: Path, strategy: str = "one_for_all", **needs: list[str]) -> StackPolicy:
    """Apps a to d in this order, each with what it depends on."""
    apps: list[dict[str, Any]] = [{"name": name, "dependsOn": needs.get(name, [])} for name in "abcd"]
    return replace(policy(folder, *apps), strategy=strategy)


def seen(crashed: dict[str, UnitRecord] | None = None, held: tuple[str, ...] = (), **units: UnitState) -> GroupView:
    """All up, but for what is said otherwise."""
    states = {TARGET: UP, **{service(name): UP for name in "abcd"}}
    states |= {TARGET if name == "target" else service(name): state for name, state in units.items()}
    records = [Record([], {service(name): record for name, record in (crashed or {}).items()})]
    return view_of(states, records, frozenset(map(service, held)))


def failing(view: GroupView, **runs: str) -> GroupView:
    return replace(view, failing={service(name): run for name, run in runs.items()})


def crash(at: float = 5.0, *, final: bool = False, run: str = "") -> UnitRecord:
    last = Exit(at, "signal", "killed", "KILL", run)
    return UnitRecord(1, None, last, Final(at, "crashed: given up") if final else None)


def decide(of: StackPolicy, memory: Memory, view: GroupView, *asked: str) -> tuple[Memory, list[tuple[str, str]]]:
    memory, jobs = judge(of, memory, view, frozenset(map(service, asked)), 9.0)
    return memory, [(job.verb, job.unit) for job in jobs]


def stops(*names: str) -> list[tuple[str, str]]:
    return [("stop", service(name)) for name in names]


def starts(*names: str) -> list[tuple[str, str]]:
    return [("start", service(name)) for name in names]


def test_what_an_operator_stops_while_it_waits_stays_down(tmp_path: Path) -> None:
    of, crashed = stack(tmp_path), {"b": crash()}
    waiting = State(service("b"), (), (service("c"), service("d")))
    memory, jobs = decide(of, Memory({service("b"): 5.0}, waiting), seen(crashed, ("c",), b=COMING, c=GONE, d=GONE))
    assert (memory.recovery, jobs) == (State(service("b"), (), (service("d"),)), [])
    memory, jobs = decide(of, memory, seen(crashed, c=GONE, d=GONE))
    assert jobs == starts("d")


def test_from_a_crash_to_the_end_of_the_recovery(tmp_path: Path) -> None:
    of, crashed = stack(tmp_path), {"b": crash()}
    memory, jobs = decide(of, Memory(), seen(crashed, b=CRASHING))
    assert jobs == stops("d", "c", "a")
    stopping = state_of("deactivating", "stop")
    again, jobs = decide(of, memory, seen(crashed, b=COMING, a=stopping, c=stopping, d=GONE))
    assert (again.recovery, jobs) == (State(service("b"), (service("a"), service("c")), (service("d"),)), [])
    again, jobs = decide(of, again, seen(crashed, b=COMING, a=GONE, c=GONE, d=GONE))
    assert jobs == starts("a")
    again, jobs = decide(of, again, seen(crashed, a=GONE, c=GONE, d=GONE))
    assert jobs == starts("a", "c", "d")
    again, jobs = decide(of, again, seen(crashed, a=COMING, d=GONE), "a", "c", "d")
    # d was asked to start, and is down with no job: somebody stopped it.
    assert (again.recovery, jobs) == (State(None, (), (service("a"),)), [])
    again, jobs = decide(of, again, seen(crashed))
    assert (again.recovery, jobs) == (IDLE, [])


def test_a_crash_is_acted_on_once(tmp_path: Path) -> None:
    of = stack(tmp_path)
    memory, _ = decide(of, Memory(), seen({"a": crash()}, a=CRASHING))
    memory = replace(memory, recovery=IDLE)
    assert decide(of, memory, seen({"a": crash()})) == (memory, [])
    _, jobs = decide(of, memory, seen({"a": crash(6.0)}))
    assert jobs == stops("d", "c", "b")


def test_the_others_go_down_before_a_crash_is_on_record(tmp_path: Path) -> None:
    of = stack(tmp_path)
    memory, jobs = decide(of, Memory(), failing(seen(a=CRASHING), a="r1"))
    assert jobs == stops("d", "c", "b")
    down = {"b": GONE, "c": GONE, "d": GONE}
    # Nothing starts as long as it may be the final crash.
    memory, jobs = decide(of, memory, seen(a=CRASHING, **down))
    assert jobs == []
    crashed = {"a": crash(run="r1")}
    memory, jobs = decide(of, memory, seen(crashed, a=CRASHING, **down))
    assert (memory.presumed, jobs) == ({}, [])
    memory, jobs = decide(of, memory, seen(crashed, **down))
    assert jobs == starts("b", "c", "d")
    memory, jobs = decide(of, memory, seen(crashed), "b", "c", "d")
    assert (memory.recovery, jobs) == (IDLE, [])


def test_a_crash_that_never_comes_on_record_restarts_the_others_too(tmp_path: Path) -> None:
    of = stack(tmp_path)
    memory, _ = decide(of, Memory(), failing(seen(a=CRASHING), a="r1"))
    down = {"b": GONE, "c": GONE, "d": GONE}
    # Its record may have been written after the records were read.
    memory, jobs = decide(of, memory, seen(**down))
    assert (memory.presumed, jobs) == ({service("a"): Presumed("r1", "due")}, [])
    memory, jobs = decide(of, memory, seen(**down))
    assert (memory.presumed, jobs) == ({service("a"): Presumed("r1", "missing")}, starts("b", "c", "d"))
    # But once: nobody counts, and that might go on for ever.
    memory, _ = decide(of, memory, seen(), "b", "c", "d")
    assert memory.recovery == IDLE
    assert ended_without_job(of, memory, seen(a=CRASHING)) == []
    # The next one that is on record says that there is somebody who counts.
    memory, jobs = decide(of, memory, seen({"a": crash(run="r2")}, a=COMING))
    assert (memory.presumed, jobs) == ({}, stops("d", "c", "b"))


def test_nothing_that_was_blocked_starts_before_a_crash_is_known_not_to_be_final(tmp_path: Path) -> None:
    of = stack(tmp_path, d=["b"])
    view = seen(d=GONE)
    view = replace(view, units={**view.units, gate("b"): FAILED})
    memory = Memory(presumed={service("c"): Presumed("r1")})
    memory, jobs = decide(of, memory, view)
    assert (memory.is_undecided, jobs) == (True, [])
    memory, jobs = decide(of, memory, view)
    assert jobs == starts("d")


def test_a_final_crash_that_was_presumed_ends_its_group(tmp_path: Path) -> None:
    of = stack(tmp_path)
    memory, _ = decide(of, Memory(), failing(seen(a=CRASHING), a="r1"))
    down = {"b": GONE, "c": GONE, "d": GONE}
    memory, jobs = decide(of, memory, seen(a=FAILED, **down))
    assert jobs == []
    memory, jobs = decide(of, memory, seen({"a": crash(final=True, run="r1")}, a=FAILED, **down))
    assert jobs == [("stop", TARGET), *stops("d", "c", "b")]
    assert memory.reasons[service("b")].by == service("a")


def test_the_next_crash_is_another_one(tmp_path: Path) -> None:
    of = stack(tmp_path)
    first = {"a": crash(run="r1")}
    memory, _ = decide(of, Memory(), failing(seen(a=CRASHING), a="r1"))
    memory, _ = decide(of, replace(memory, recovery=IDLE), seen(first))
    memory, jobs = decide(of, memory, failing(seen(first, a=CRASHING), a="r2"))
    assert jobs == stops("d", "c", "b")
    memory = replace(memory, recovery=IDLE)
    assert decide(of, memory, seen({"a": crash(6.0, run="r2")}))[1] == []
    assert decide(of, memory, seen({"a": crash(7.0, run="r3")}))[1] == stops("d", "c", "b")


def test_who_is_asked_whether_it_has_failed(tmp_path: Path) -> None:
    of = stack(tmp_path)
    view = seen(a=CRASHING, b=state_of("deactivating", "stop"), c=CRASHING, d=GONE)
    assert ended_without_job(of, Memory(), view) == [service("a"), service("c")]
    assert ended_without_job(replace(of, strategy="one_for_one"), Memory(), view) == []
    # Of servers and pools it is nobody's concern, and what nobody counts restarts nobody.
    a, *others = of.apps
    for app in (replace(a, mode="infra"), with_process(a, instances=2), with_process(a, restarts=UNCOUNTED)):
        assert ended_without_job(replace(of, apps=(app, *others)), Memory(), view) == [service("c")]


UNCOUNTED = RestartsPolicy(False, "no", 0, 0, "fixed:0:0:1", None)


def with_process(app: AppPolicy, **values: Any) -> AppPolicy:
    return replace(app, processes=(replace(app.processes[0], **values),))


@given(st.lists(st.integers(0, 4), max_size=12).map(sorted), st.booleans(), st.booleans())
def test_a_crash_is_one_crash_whatever_is_seen_of_it(
    tmp_path_factory: pytest.TempPathFactory, times: list[int], final: bool, fails: bool
) -> None:
    """It runs, fails, is recorded, waits for its restart, is back: each look reads the records, then the states."""
    of = stack(tmp_path_factory.mktemp("stack"))
    states = [UP, CRASHING, CRASHING, FAILED, FAILED] if final else [UP, CRASHING, CRASHING, state_of("activating"), UP]
    others = dict.fromkeys("bcd", UP)
    memory, done = Memory(), []
    for record_at, state_at in [*zip(times[::2], times[1::2], strict=False), *[(4, 4)] * 4]:
        view = seen({"a": crash(final=final, run="r1")} if record_at >= 2 else {}, a=states[state_at], **others)
        view = failing(view, a="r1") if fails and ended_without_job(of, memory, view) else view
        memory, jobs = decide(of, memory, view, *(name for name in others if ("start", service(name)) in done))
        done += [job for job in jobs if job[1] != TARGET]
        for verb, unit in jobs:
            others |= {name: UP if verb == "start" else GONE for name in others if unit == service(name)}
    if final:
        assert not [job for job in done if job[0] == "start"]
        assert set(done) == set(stops("b", "c", "d"))
    else:
        assert done == [*stops("d", "c", "b"), *starts("b", "c", "d")]
    assert memory.recovery == IDLE


def test_what_crashed_before_the_watcher_came_is_no_concern(tmp_path: Path) -> None:
    view = seen({"a": crash()})
    assert decide(stack(tmp_path), first_memory(view), view)[1] == []


def test_dependents_start_when_what_they_need_is_back(tmp_path: Path) -> None:
    of = stack(tmp_path, c=["b"], d=["c"])
    memory = Memory(recovery=State(None, (), tuple(map(service, "bcd"))))
    memory, jobs = decide(of, memory, seen(b=GONE, c=GONE, d=GONE))
    assert jobs == starts("b")
    memory, jobs = decide(of, memory, seen(c=GONE, d=GONE), "b")
    assert jobs == starts("c")


@pytest.mark.parametrize("active", ["inactive", "deactivating", "failed"])
def test_a_stack_that_somebody_stopped_is_left_alone(tmp_path: Path, active: str) -> None:
    of = stack(tmp_path)
    memory, _ = decide(of, Memory(), seen({"a": crash()}, a=CRASHING))
    memory, jobs = decide(of, memory, seen({"a": crash()}, target=state_of(active), b=GONE, c=GONE, d=GONE))
    assert (memory.recovery, jobs) == (IDLE, [])


def test_a_group_that_runs_without_its_target_recovers_too(tmp_path: Path) -> None:
    memory, jobs = decide(stack(tmp_path), Memory(), seen({"a": crash()}, a=CRASHING, target=GONE, d=GONE))
    assert jobs == stops("c", "b")
    _, jobs = decide(stack(tmp_path / "x"), memory, seen({"a": crash()}, target=GONE, b=GONE, c=GONE, d=GONE))
    assert jobs == starts("b", "c")


@pytest.mark.parametrize("trigger", [GONE, FAILED])
def test_nobody_waits_for_one_that_will_not_come(tmp_path: Path, trigger: UnitState) -> None:
    of, memory = stack(tmp_path), Memory(recovery=State(service("a"), (), tuple(map(service, "bcd"))), was_active=True)
    _, jobs = decide(of, memory, seen(a=trigger, b=GONE, c=GONE, d=GONE))
    assert jobs == starts("b", "c", "d")


def test_without_its_target_a_stop_of_the_crashed_one_ends_the_recovery(tmp_path: Path) -> None:
    """It may have been the stop of everything."""
    memory = Memory(recovery=State(service("a"), (), tuple(map(service, "bcd"))))
    memory, jobs = decide(stack(tmp_path), memory, seen(a=GONE, b=GONE, c=GONE, d=GONE, target=GONE))
    assert (memory.recovery, jobs) == (IDLE, [])


def test_another_strategy_finishes_nothing(tmp_path: Path) -> None:
    memory = Memory(recovery=State(service("a"), (service("b"),), ()), ending=(service("c"),))
    memory, jobs = decide(stack(tmp_path, "one_for_one"), memory, seen())
    assert (memory.recovery, memory.ending, jobs) == (IDLE, (), [])


def test_two_ends_at_once_are_both_carried_out(tmp_path: Path) -> None:
    of = stack(tmp_path, "rest_for_one")
    gone = {"a": crash(5.0, final=True), "c": crash(6.0, final=True)}
    memory, _ = decide(of, Memory(), seen(gone, a=FAILED, c=FAILED))
    assert set(memory.ending) == set(map(service, "bcd"))


def test_the_end_of_a_whole_group(tmp_path: Path) -> None:
    memory, jobs = decide(stack(tmp_path), Memory(), seen({"b": crash(final=True)}, b=state_of("deactivating", "stop")))
    assert jobs == [("stop", TARGET), *stops("d", "c", "a")]
    reason = memory.reasons[service("a")]
    assert reason[:3] == (9.0, service("b"), "ended with b, which crashed: given up")
    assert (reason.kind, reason.cause) == (GROUP_STOPPED, "crashed: given up")
    done = replace(memory, ending=())
    down = seen({"b": crash(final=True)}, target=GONE, a=GONE, b=FAILED, c=GONE, d=GONE)
    assert decide(stack(tmp_path / "x"), done, down) == (done, [])
    # Somebody starts the stack again.
    assert decide(stack(tmp_path / "y"), done, seen({"b": crash(final=True)}))[0].reasons == {}


def test_the_end_of_the_rest(tmp_path: Path) -> None:
    of = stack(tmp_path, "rest_for_one")
    memory, jobs = decide(of, Memory(), seen({"b": crash(final=True)}, b=state_of("deactivating", "stop")))
    assert jobs == stops("d", "c")
    assert set(memory.reasons) == {service("c"), service("d")}


@pytest.mark.parametrize("final", [False, True])
def test_what_crashed_under_another_strategy_is_no_concern_of_a_group(tmp_path: Path, *, final: bool) -> None:
    of = stack(tmp_path, "one_for_one")
    memory, _ = decide(of, Memory(), seen())
    memory, _ = decide(of, memory, seen({"a": crash(final=final)}))
    assert decide(replace(of, strategy="one_for_all"), memory, seen({"a": crash(final=final)}))[1] == []


def test_what_a_group_has_recovered_from_is_not_replayed_when_its_strategy_comes_back(tmp_path: Path) -> None:
    of = stack(tmp_path)
    memory, _ = decide(of, Memory({service("a"): 5.0}), seen({"a": crash()}))
    # The record of the group is none of one_for_one's.
    memory, _ = decide(replace(of, strategy="one_for_one"), memory, seen())
    assert decide(of, memory, seen({"a": crash()}))[1] == []


def test_a_final_crash_that_has_been_mended_ends_nobody(tmp_path: Path) -> None:
    of = stack(tmp_path)
    memory, jobs = decide(of, Memory(), seen({"a": crash(final=True)}))
    assert (memory.ending, jobs) == ((), [])
    assert decide(of, memory, seen({"a": crash(final=True)}, a=FAILED))[1] == []


def test_a_stack_that_is_stopped_while_it_still_starts_is_not_brought_back(tmp_path: Path) -> None:
    of, starting = stack(tmp_path), state_of("inactive", "start")
    going, gone = dict.fromkeys("bcd", CRASHING), dict.fromkeys("bcd", GONE)
    memory, _ = decide(of, Memory(), seen({"a": crash()}, target=starting, a=COMING))
    memory, jobs = decide(of, memory, seen({"a": crash()}, target=starting, **going))
    assert memory.recovery == State(None, (service("b"), service("c"), service("d")))
    memory, jobs = decide(of, memory, seen({"a": crash()}, target=GONE, a=GONE, **gone))
    assert (memory.recovery, jobs) == (IDLE, [])


def test_an_added_instance_that_systemd_has_forgotten_comes_back_with_its_group(tmp_path: Path) -> None:
    apps = [{"name": "a"}, {"name": "pool", "instances": 2}]
    of = replace(policy(tmp_path, *apps), strategy="one_for_all")
    instances = [f"omnitron-dev-pool-main@{number}.service" for number in (1, 2, 3)]
    states = {TARGET: UP, service("a"): UP, **dict.fromkeys(instances, UP)}
    records = [Record([], {service("a"): crash()})]
    memory, jobs = decide(of, Memory(), view_of({**states, service("a"): COMING}, records))
    assert sorted(jobs) == [("stop", unit) for unit in instances]
    # The declared ones stay, for the target wants them.
    states |= dict.fromkeys(instances[:2], GONE)
    del states[instances[2]]
    memory, jobs = decide(of, memory, view_of({**states, service("a"): COMING}, records))
    assert memory.recovery.waiting == tuple(instances)
    memory, jobs = decide(of, memory, view_of(states, records))
    assert jobs == [("start", unit) for unit in instances]


def test_one_for_one_is_none_of_its_business(tmp_path: Path) -> None:
    of = stack(tmp_path, "one_for_one")
    memory, jobs = decide(of, Memory(), seen({"a": crash()}, a=CRASHING))
    assert (memory, jobs) == (Memory({service("a"): 5.0}), [])


# What was blocked


def blocked(of: StackPolicy, gates: dict[str, str], **units: UnitState) -> list[str]:
    view = seen(None, **units)
    return unblocked(
        of, GroupView({**view.units, **{gate(name): state_of(state) for name, state in gates.items()}}, {})
    )


def test_a_chain_starts_when_its_root_is_back(tmp_path: Path) -> None:
    of = stack(tmp_path, "one_for_one", b=["a"], c=["b"])
    shut = {"a": "failed", "b": "failed"}
    assert blocked(of, shut, b=GONE, c=GONE) == [service("b"), service("c")]
    assert blocked(of, shut, a=FAILED, b=GONE, c=GONE) == []
    assert blocked(of, shut, a=COMING, b=GONE, c=GONE) == []
    assert blocked(of, shut, b=COMING, c=GONE) == []
    assert blocked(of, shut, target=GONE, b=GONE, c=GONE) == []


def test_what_somebody_stopped_is_not_blocked(tmp_path: Path) -> None:
    of = stack(tmp_path, "one_for_one", b=["a"])
    assert blocked(of, {"a": "active"}, b=GONE) == []


def test_every_dependency_must_be_back(tmp_path: Path) -> None:
    of = stack(tmp_path, "one_for_one", c=["a", "b"])
    assert blocked(of, {"a": "failed", "b": "failed"}, b=FAILED, c=GONE) == []
    assert blocked(of, {"a": "failed", "b": "active"}, c=GONE) == [service("c")]


def test_what_has_failed_by_itself_is_not_started(tmp_path: Path) -> None:
    of = stack(tmp_path, "one_for_one", b=["a"])
    assert blocked(of, {"a": "failed"}, b=FAILED) == []
