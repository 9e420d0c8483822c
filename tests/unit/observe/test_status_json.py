"""The published shapes: the code of a condition beside the fields that there were before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from omnitron.observe.conditions import Condition, ConditionKind
from omnitron.observe.report import AppReport, ProcessReport, ServiceReport, Status
from omnitron.observe.status_json import aggregated_health, diagnostics, health_of, process_info
from tests.support.policies import policy

UNIT = "omnitron-dev-api-main.service"


def app(folder: Path, status: Status, condition: Condition | None = None) -> AppReport:
    stack = policy(folder, {"name": "api"})
    service = ServiceReport(UNIT, None, status, None, 0.0, 0.0, 0, 0.0, 0, condition, None, 5, None, None)
    return AppReport(stack, stack.apps[0], (ProcessReport(stack.apps[0].processes[0], (service,)),))


BLOCKED = Condition(ConditionKind.BLOCKED, "dev/db")
BLOCKED_DATA = {"kind": "blocked", "by": "dev/db", "text": "blocked by db"}


def test_the_code_is_beside_the_sentence(tmp_path: Path) -> None:
    report = app(tmp_path, "stopped", BLOCKED)
    assert process_info(report, "api")["condition"] == BLOCKED_DATA
    known = diagnostics(report, "api", source="", last_exit=None)
    assert known["condition"] == known["children"][0]["condition"] == BLOCKED_DATA
    (check,) = aggregated_health([(report, "api")], timestamp=1)["apps"]["api"]["checks"]
    assert check == {"name": UNIT, "status": "fail", "message": "blocked by db", "condition": BLOCKED_DATA}
    assert json.loads(json.dumps(known)) == known


def test_no_condition_is_null(tmp_path: Path) -> None:
    report = app(tmp_path, "online")
    assert process_info(report, "api")["condition"] is None
    assert aggregated_health([(report, "api")], timestamp=1)["apps"]["api"]["checks"] == [
        {"name": UNIT, "status": "pass"}
    ]


@pytest.mark.parametrize(
    ("status", "kind", "health"),
    [
        ("online", None, "healthy"),
        ("online", ConditionKind.CHECKS_FAILING, "degraded"),
        ("online", ConditionKind.SELF_REPORTED_DEGRADED, "degraded"),
        ("online", ConditionKind.SELF_REPORTED_UNHEALTHY, "degraded"),
        ("starting", ConditionKind.BACKING_OFF, "degraded"),
        ("stopped", None, "unhealthy"),
        ("crashed", ConditionKind.GIVEN_UP, "unhealthy"),
    ],
)
def test_health_goes_by_state_and_code(tmp_path: Path, status: Status, kind: ConditionKind | None, health: str) -> None:
    assert health_of(app(tmp_path, status, Condition(kind) if kind else None)) == health
