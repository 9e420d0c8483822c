"""Random faults and jumps of the clock on a whole machine: FAULTS says how many with each strategy."""

from __future__ import annotations

import pytest

from tests.support.faults import APPS, FAULTS, STRATEGIES, check_faults
from tests.support.machines import Machine
from tests.support.projects import Make


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_after_many_faults_and_jumps_of_the_clock_all_is_as_it_should_be(
    machine: Machine, make: Make, strategy: str
) -> None:
    check_faults(machine, make, strategy, APPS, FAULTS or 200, jumps=True)
