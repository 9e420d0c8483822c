"""The order in which a stack stops."""

from __future__ import annotations

from pathlib import Path

from omnitron.operations.steps import stop_steps
from tests.support.policies import policy


def test_the_end_of_a_stack_is_that_of_its_last_service(tmp_path: Path) -> None:
    (step,) = stop_steps(policy(tmp_path, {"name": "a"}, {"name": "b"}))
    assert step.units == ("omnitron-dev.target", "omnitron-dev-a-main.service", "omnitron-dev-b-main.service")


def test_lower_priority_stops_first(tmp_path: Path) -> None:
    steps = stop_steps(policy(tmp_path, {"name": "a", "shutdown": {"priority": 5}}, {"name": "b"}))
    assert [step.units for step in steps] == [
        ("omnitron-dev-b-main.service",),
        ("omnitron-dev-a-main.service",),
        ("omnitron-dev.target", "omnitron-dev-a-main.service", "omnitron-dev-b-main.service"),
    ]
