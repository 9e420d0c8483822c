"""First causes, and what follows from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from omnitron.observe.conditions import Condition, ConditionKind
from omnitron.observe.diagnosis import Trouble, troubles
from omnitron.observe.report import AppReport, ProcessReport, ServiceReport, StackReport, Status
from tests.support.policies import policy

CHAIN: tuple[dict[str, Any], ...] = (
    {"name": "db"},
    {"name": "mid", "dependsOn": ["db"]},
    {"name": "top", "dependsOn": ["mid"]},
    {"name": "off", "enabled": False},
)


def unit(app: str) -> str:
    return f"omnitron-dev-{app}-main.service"


GIVEN_UP = Condition(ConditionKind.GIVEN_UP, detail="crashed: given up")


def found(folder: Path, **services: tuple[Status, Condition | None, str | None]) -> list[Trouble]:
    """The troubles of the chain, all online but for these: status, condition, and what it follows."""
    stack = policy(folder, *CHAIN)
    apps = []
    for app in stack.apps:
        status, condition, follows = services.get(app.name, ("online", None, None))
        service = ServiceReport(
            unit(app.name), None, status, None, 0.0, 0.0, 0, 0.0, 0, condition, follows, 5, None, None
        )
        apps.append(AppReport(stack, app, (ProcessReport(app.processes[0], (service,)),)))
    return troubles(StackReport(stack, "active", None, tuple(apps)))


def test_all_is_well(tmp_path: Path) -> None:
    assert found(tmp_path) == []


def test_a_chain_has_one_cause(tmp_path: Path) -> None:
    blocked: tuple[Status, Condition, str] = ("stopped", Condition(ConditionKind.BLOCKED, "dev/db"), "db")
    (cause,) = found(tmp_path, db=("crashed", GIVEN_UP, None), mid=blocked, top=blocked)
    assert (cause.address, cause.kind, cause.app) == ("dev/db", "failed", "db")
    assert [(effect.app, effect.kind, effect.through) for effect in cause.effects] == [
        ("mid", "blocked", ()),
        ("top", "blocked", ("mid",)),
    ]
    assert cause.brief == "dev/db crashed: given up; so do not run: mid, top"


def test_a_group_goes_down_with_one(tmp_path: Path) -> None:
    ended = Condition(ConditionKind.GROUP_STOPPED, "dev/db", "crashed: given up")
    (cause,) = found(tmp_path, db=("crashed", GIVEN_UP, None), mid=("stopped", ended, unit("db")))
    assert [(effect.app, effect.kind) for effect in cause.effects] == [("mid", "withGroup")]


@pytest.mark.parametrize(
    ("status", "condition", "kind"),
    [
        ("crashed", ConditionKind.GIVEN_UP, "failed"),
        ("errored", ConditionKind.UNIT_REFUSED, "failed"),
        ("starting", ConditionKind.BACKING_OFF, "failing"),
        ("starting", ConditionKind.SELF_REPORTED_UNHEALTHY, "failing"),
        ("starting", ConditionKind.STARTING, None),
        ("starting", None, None),
        ("stopped", ConditionKind.SOCKET_FAILED, "unreachable"),
        ("stopped", ConditionKind.NOT_ENABLED, None),
        ("stopped", None, None),
        ("online", ConditionKind.CHECKS_FAILING, None),
        ("online", ConditionKind.SELF_REPORTED_UNHEALTHY, None),
    ],
)
def test_what_counts_as_a_cause(
    tmp_path: Path, status: Status, condition: ConditionKind | None, kind: str | None
) -> None:
    known = Condition(condition) if condition else None
    assert [cause.kind for cause in found(tmp_path, db=(status, known, None))] == ([kind] if kind else [])


def test_what_is_not_enabled_is_no_trouble(tmp_path: Path) -> None:
    assert found(tmp_path, off=("crashed", GIVEN_UP, None)) == []
