"""The table of behaviour: strategy, event, who restarts, in which order, and what there is in the end."""

from __future__ import annotations

import pytest

from tests.support.behaviour import TABLE, check_table
from tests.support.faults import STRATEGIES
from tests.support.machines import Machine
from tests.support.projects import Make


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_table(machine: Machine, make: Make, strategy: str) -> None:
    check_table(machine, make, strategy, TABLE)
