"""The order in which a stack stops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omnitron.operations.steps import stop_steps
from omnitron.policy.codec import marshal
from omnitron.policy.model import StackPolicy
from omnitron.policy.store import read_policies
from tests.unit.build import planned, shop


def policy(folder: Path, *apps: dict[str, Any], **definition: Any) -> StackPolicy:
    """The policy of a stack of `apps`, `definition` the rest of it, written and read back."""
    (folder / "policies").mkdir(parents=True)
    plan = planned(folder, shop(*apps, **definition)).stacks[0]
    (folder / "policies/omnitron-dev.json").write_text(marshal(plan.policy))
    (read,) = read_policies([folder / "policies"])
    return read


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
