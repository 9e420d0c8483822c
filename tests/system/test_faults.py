"""Random faults in the sandbox: each strategy, on each systemd; about 200 in all."""

from __future__ import annotations

import pytest

from tests.support.faults import APPS, STRATEGIES, check_faults
from tests.support.machines import Machine
from tests.support.projects import Make


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_after_many_faults_all_is_as_it_should_be(machine: Machine, make: Make, strategy: str) -> None:
    check_faults(machine, make, strategy, APPS, 34, jumps=False)
