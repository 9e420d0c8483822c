"""First causes, and what follows from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

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


def found(folder: Path, **services: tuple[Status, str, str | None]) -> list[Trouble]:
    """The troubles of the chain, all online but for these: status, note, and what it follows."""
    stack = policy(folder, *CHAIN)
    apps = []
    for app in stack.apps:
        status, note, follows = services.get(app.name, ("online", "", None))
        service = ServiceReport(unit(app.name), None, status, None, 0.0, 0.0, 0, 0.0, 0, note, follows, 5, None, None)
        apps.append(AppReport(stack, app, (ProcessReport(app.processes[0], (service,)),)))
    return troubles(StackReport(stack, "active", None, tuple(apps)))


def test_all_is_well(tmp_path: Path) -> None:
    assert found(tmp_path) == []


def test_a_chain_has_one_cause(tmp_path: Path) -> None:
    blocked = ("stopped", "blocked by db", "db")
    (cause,) = found(tmp_path, db=("crashed", "crashed: given up", None), mid=blocked, top=blocked)
    assert (cause.address, cause.kind, cause.app) == ("dev/db", "failed", "db")
    assert [(effect.app, effect.how, effect.through) for effect in cause.effects] == [
        ("mid", "is blocked", ()),
        ("top", "is blocked", ("mid",)),
    ]
    assert cause.brief == "dev/db crashed: given up; so do not run: mid, top"


def test_a_group_goes_down_with_one(tmp_path: Path) -> None:
    (cause,) = found(tmp_path, db=("crashed", "gone", None), mid=("stopped", "ended with db", unit("db")))
    assert [(effect.app, effect.how) for effect in cause.effects] == [("mid", "went down with it")]


@pytest.mark.parametrize(
    ("status", "note", "kind"),
    [
        ("crashed", "x", "failed"),
        ("errored", "x", "failed"),
        ("starting", "crashed; next start in 3 s", "failing"),
        ("stopped", "a.socket has failed: is port 80 taken?", "unreachable"),
        ("starting", "", None),
        ("stopped", "", None),
        ("online", "1 of 3 health checks failed: no answer", None),
    ],
)
def test_what_counts_as_a_cause(tmp_path: Path, status: Status, note: str, kind: str | None) -> None:
    assert [cause.kind for cause in found(tmp_path, db=(status, note, None))] == ([kind] if kind else [])


def test_what_is_not_enabled_is_no_trouble(tmp_path: Path) -> None:
    assert found(tmp_path, off=("crashed", "x", None)) == []
