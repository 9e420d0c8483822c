"""Random faults in the sandbox, about 200 in all: each strategy, on each systemd."""

from __future__ import annotations

import pytest
from faults import check_faults
from machines import Machine
from projects import Make


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all", "rest_for_one"])
def test_after_many_faults_all_is_as_it_should_be(machine: Machine, make: Make, strategy: str) -> None:
    check_faults(machine, make, strategy, 20, 34, jumps=False)
