"""What is said of a stack, from readings of one moment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from omnitron.observe.report import report_stack
from omnitron.observe.snapshot import of_stack
from omnitron.observe.status_json import health_of
from omnitron.supervision.state.crash_record import Exit, Record, UnitRecord
from omnitron.supervision.state.group_state import Memory
from omnitron.supervision.state.health_results import Result
from omnitron.systemd.systemctl import Listed
from tests.support.policies import policy

UNIT = "omnitron-dev-api-main.service"


@pytest.mark.parametrize(("crashed_at", "health"), [(None, "degraded"), (10.0, "degraded"), (30.0, "healthy")])
def test_failed_checks_are_those_of_the_process_that_runs(
    tmp_path: Path, crashed_at: float | None, health: str
) -> None:
    stack = policy(tmp_path, {"name": "api"})
    (app,) = stack.apps
    stack = replace(stack, apps=(replace(app, processes=(replace(app.processes[0], retries=3),)),))
    units = {stack.target: Listed("loaded", "active", "active"), UNIT: Listed("loaded", "active", "running")}
    crashes = {UNIT: UnitRecord(1, None, Exit(crashed_at, "signal", "killed", "ABRT"))} if crashed_at else {}
    checks = {UNIT: Result(3, "no answer", 20.0, "i")}
    report = report_stack(stack, of_stack(stack, units, [Record([], crashes)], Memory(), checks, {}))
    assert health_of(report.apps[0]) == health
