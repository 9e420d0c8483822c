"""Plans are made without a look at the host."""

from tests.unit.purity import planner_is_pure as planner_is_pure
