"""The virtual machine of these tests: their machine is a whole one, with cgroup v2."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from omnitron.errors import OmnitronError
from omnitron.sandbox import debian_root
from tests.support import vm
from tests.support.checkout import CHECKOUT
from tests.support.machines import INSTALLATION, Machine
from tests.support.projects import Make, Projects

TOO_MANY_REGISTERS = "ptrace set fp regs failed, errno = 14"
"""The last words of the kernel of user-mode Linux 6.1 on a processor with AMX."""


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """Debian 13 on user-mode Linux."""
    try:
        with vm.booted(debian_root("trixie"), CHECKOUT) as booted:
            yield Machine(booted, "/usr/bin/python3", INSTALLATION, pause_s=1.5, slower=4.0)  # type: ignore[arg-type]
    except OmnitronError as error:
        if TOO_MANY_REGISTERS in str(error):
            pytest.skip("user-mode Linux cannot run here: this processor has more registers than its kernel can save")
        pytest.fail("\n".join(error.lines()), pytrace=False)


@pytest.fixture
def make(machine: Machine) -> Iterator[Make]:
    """Makes projects on the machine, and stops them; it is thrown away with all that is on it."""
    made = Projects(machine)
    yield made.make
    machine.systemctl("stop", *(project.target for project in made))
