"""What is said of a stack, from readings of one moment."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from omnitron.observe.conditions import Condition, ConditionKind
from omnitron.observe.report import report_stack
from omnitron.observe.snapshot import of_stack
from omnitron.observe.status_json import health_of
from omnitron.supervision.rules.strategy import State
from omnitron.supervision.state.crash_record import Exit, Final, Record, UnitRecord
from omnitron.supervision.state.group_state import GROUP_STOPPED, Memory, Reason
from omnitron.supervision.state.health_results import Result
from omnitron.systemd.units import UnitState
from tests.support.policies import policy

UNIT = "omnitron-dev-api-main.service"


@pytest.mark.parametrize(("crashed_at", "health"), [(None, "degraded"), (10.0, "degraded"), (30.0, "healthy")])
def test_failed_checks_are_those_of_the_process_that_runs(
    tmp_path: Path, crashed_at: float | None, health: str
) -> None:
    stack = policy(tmp_path, {"name": "api"})
    (app,) = stack.apps
    stack = replace(stack, apps=(replace(app, processes=(replace(app.processes[0], retries=3),)),))
    units = {name: UnitState(name, "active") for name in (stack.target, UNIT)}
    crashes = {UNIT: UnitRecord(1, None, Exit(crashed_at, "signal", "killed", "ABRT"))} if crashed_at else {}
    checks = {UNIT: Result(3, "no answer", 20.0, "i")}
    report = report_stack(stack, of_stack(stack, units, [Record([], crashes)], Memory(), checks, {}))
    assert health_of(report.apps[0]) == health


def condition(
    folder: Path,
    active: str,
    *,
    load: str = "loaded",
    record: UnitRecord | None = None,
    memory: Memory | None = None,
    said: str = "",
    enabled: bool = True,
    others: dict[str, str] | None = None,
) -> Condition | None:
    """The condition of the api; `others` are the states of other units, by the end of their name."""
    stack = policy(folder, {"name": "db"}, {"name": "api", "enabled": enabled, "dependsOn": ["db"]})
    app = stack.apps[-1]
    process = replace(app.processes[0], port=80, sockets=("omnitron-dev-api-main.socket",))
    stack = replace(stack, apps=(stack.apps[0], replace(app, processes=(process,))))
    units = {f"omnitron-dev-{name}": UnitState(f"omnitron-dev-{name}", state) for name, state in (others or {}).items()}
    units[UNIT] = UnitState(UNIT, active, load=load)
    records = [Record([], {UNIT: record})] if record else []
    memory = memory or Memory()
    report = report_stack(stack, of_stack(stack, units, records, memory, {}, {UNIT: said} if said else {}))
    return report.apps[-1].condition


EXIT = Exit(1.0, "exit-code", "exited", "1")
DB = "omnitron-dev-db-main.service"


def test_a_failure(tmp_path: Path) -> None:
    assert condition(tmp_path / "a", "failed") == Condition(ConditionKind.FAILED)
    known = condition(tmp_path / "b", "failed", record=UnitRecord(1, None, EXIT, Final(1.0, "crashed: given up")))
    assert known == Condition(ConditionKind.GIVEN_UP, detail="crashed: given up")
    refused = condition(tmp_path / "c", "inactive", load="bad-setting")
    assert refused == Condition(ConditionKind.UNIT_REFUSED, UNIT)


def test_a_start(tmp_path: Path) -> None:
    assert condition(tmp_path / "a", "activating") is None
    told = condition(tmp_path / "b", "activating", said="warming up")
    assert told == Condition(ConditionKind.STARTING, detail="warming up")
    unhealthy = condition(tmp_path / "c", "activating", said="unhealthy: no database")
    assert unhealthy == Condition(ConditionKind.SELF_REPORTED_UNHEALTHY, detail="no database")
    due = time.clock_gettime(time.CLOCK_MONOTONIC) + 100
    waits = condition(tmp_path / "d", "activating", record=UnitRecord(1, due, EXIT), said="warming up")
    assert waits and waits.kind == ConditionKind.BACKING_OFF
    assert waits.starts_in_s and 90 < waits.starts_in_s <= 100
    assert waits.restarts_left == 5


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("degraded: so\x1b so", Condition(ConditionKind.SELF_REPORTED_DEGRADED, detail="so? so")),
        ("unhealthy", Condition(ConditionKind.SELF_REPORTED_UNHEALTHY)),
        ("healthy", None),
        ("busy: very", None),
    ],
)
def test_what_a_process_reports_of_itself(tmp_path: Path, said: str, expected: Condition | None) -> None:
    assert condition(tmp_path, "active", said=said) == expected


def test_what_is_down(tmp_path: Path) -> None:
    assert condition(tmp_path / "a", "inactive") is None
    assert condition(tmp_path / "b", "inactive", enabled=False) == Condition(ConditionKind.NOT_ENABLED)
    shut = condition(tmp_path / "c", "inactive", others={"api-main.socket": "failed"})
    assert shut == Condition(ConditionKind.SOCKET_FAILED, "omnitron-dev-api-main.socket", port=80)
    blocked = condition(tmp_path / "d", "inactive", others={"db-ready.service": "failed"})
    assert blocked == Condition(ConditionKind.BLOCKED, "dev/db")


def test_what_is_down_with_its_group(tmp_path: Path) -> None:
    restarting = condition(tmp_path / "a", "inactive", memory=Memory(recovery=State(DB, (), (UNIT,))))
    assert restarting == Condition(ConditionKind.GROUP_RESTARTING, "dev/db")
    coded = Memory(reasons={UNIT: Reason(1.0, DB, "ended with db", GROUP_STOPPED, "crashed")})
    assert condition(tmp_path / "b", "inactive", memory=coded) == Condition(
        ConditionKind.GROUP_STOPPED, "dev/db", "crashed"
    )
    uncoded = Memory(reasons={UNIT: Reason(1.0, DB, "ended with db, which crashed")})
    assert condition(tmp_path / "c", "inactive", memory=uncoded) == Condition(
        ConditionKind.OTHER, "dev/db", "ended with db, which crashed"
    )


def test_an_app_is_blocked_by_its_root(tmp_path: Path) -> None:
    stack = policy(tmp_path, {"name": "db"}, {"name": "api", "dependsOn": ["db"]})
    units = {"omnitron-dev-db-ready.service": UnitState("omnitron-dev-db-ready.service", "failed")}
    db, api = report_stack(stack, of_stack(stack, units, [], Memory(), {}, {})).apps
    assert not db.is_blocked()
    assert api.is_blocked()
    assert api.is_blocked("db")
    assert not api.is_blocked("d")
