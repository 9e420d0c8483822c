"""What is told of a stack, and when."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from omnitron.observe.report import report_stack
from omnitron.observe.snapshot import of_stack
from omnitron.supervision.state.crash_record import Exit, Final, Record, UnitRecord
from omnitron.supervision.state.group_state import Memory
from omnitron.systemd.units import UnitState
from omnitron.watcher.bus_signals import GONE, Rows, rows_of, signals
from omnitron.watcher.stack_supervisor import StackSnapshot
from tests.support.policies import policy

A, B = ("omnitron-dev-a-main.service", "omnitron-dev-b-main.service")
STEM = "omnitron-dev"
_number = itertools.count()
APPS: tuple[dict[str, Any], ...] = ({"name": "a"}, {"name": "b", "enabled": False})


def rows(folder: Path, state: str = "active", **records: UnitRecord) -> Rows:
    """Two apps, the second not enabled; the first in `state`."""
    stack = policy(folder / str(next(_number)), *APPS)
    units = {
        A: UnitState(A, state),
        B: UnitState(B),
        stack.target: UnitState(stack.target, "active"),
    }
    crashed = [Record([], {A: record}) for record in records.values()]
    sight = StackSnapshot(stack, units, crashed, Memory())
    return rows_of(sight, report_stack(stack, of_stack(stack, units, crashed, Memory(), {}, {})))


def crashed(at: float, reason: str = "", restarts: int = 1) -> UnitRecord:
    return UnitRecord(restarts, None, Exit(at, "signal", "killed", "KILL"), Final(at, reason) if reason else None)


def told(before: Rows, after: Rows) -> list[tuple[Any, ...]]:
    return [(name, *values) for name, values in signals(STEM, before, after)]


def test_what_is_not_enabled_does_not_count(tmp_path: Path) -> None:
    found = rows(tmp_path)
    assert found.stack[2:] == ("active", "healthy")
    assert found.apps["b"][:2] == ("stopped", "unhealthy")


def test_nothing_new_is_not_told(tmp_path: Path) -> None:
    assert told(rows(tmp_path, x=crashed(1.0)), rows(tmp_path, x=crashed(1.0))) == []


def test_a_crash_and_its_end(tmp_path: Path) -> None:
    well, back = rows(tmp_path), rows(tmp_path, x=crashed(2.5))
    assert told(well, back) == [
        ("Exited", A, 2_500_000, "signal", "killed", "KILL", ""),
        ("AppChanged", STEM, "a", "online", "healthy", ""),
    ]
    over = rows(tmp_path, "failed", x=crashed(3.0, "given up"))
    assert told(back, over) == [
        ("Exited", A, 3_000_000, "signal", "killed", "KILL", "given up"),
        ("AppChanged", STEM, "a", "crashed", "unhealthy", "given up"),
        ("ConditionChanged", STEM, "a", A, "givenUp", "", "given up"),
        ("StackChanged", STEM, "active", "unhealthy"),
    ]


def test_what_crashed_before_the_watcher_came_is_no_news(tmp_path: Path) -> None:
    first = told(GONE, rows(tmp_path, x=crashed(2.5)))
    assert {name for name, *_ in first} == {"AppChanged", "ConditionChanged", "StackChanged"}


def test_a_stack_that_is_gone(tmp_path: Path) -> None:
    assert told(rows(tmp_path), GONE) == [("StackChanged", STEM, "removed", "")]


def test_what_an_app_has_said_can_be_anything(tmp_path: Path) -> None:
    found = rows(tmp_path, "failed", x=crashed(1.0, "a\0b\udcff"))
    assert found.apps["a"][3] == "ab?"


def test_a_new_budget_is_no_exit(tmp_path: Path) -> None:
    over, forgiven = rows(tmp_path, "failed", x=crashed(3.0, "given up")), rows(tmp_path, x=crashed(3.0))
    assert [name for name, *_ in told(over, forgiven)] == ["AppChanged", "ConditionChanged", "StackChanged"]
    assert told(over, forgiven)[1] == ("ConditionChanged", STEM, "a", A, "", "", "")


def test_a_condition_is_published_with_its_code(tmp_path: Path) -> None:
    assert rows(tmp_path).conditions == {B: ("b", "notEnabled", "", "not enabled")}


def test_a_sentence_that_changes_alone_is_no_news(tmp_path: Path) -> None:
    before, after = (rows(tmp_path, "failed", x=crashed(3.0, text)) for text in ("given up", "gone"))
    assert before != after
    assert told(before, after) == []
