"""Machines for the system tests, booted once a session: root is needed, systemd as PID 1 is not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest

from omnitron.errors import OmnitronError
from tests.support.machines import Machine, debian, host_overlay, remove_stale
from tests.support.projects import Make, Projects


def _lend(machine: AbstractContextManager[Machine]) -> Iterator[Machine]:
    if os.geteuid() != 0:
        pytest.fail("system tests boot machines, which only root can: run pytest with sudo", pytrace=False)
    try:
        remove_stale()
        with machine as booted:
            yield booted
    except OmnitronError as error:
        pytest.fail("\n".join(error.lines()), pytrace=False)


@pytest.fixture(scope="session")
def debian12() -> Iterator[Machine]:
    """The host's own files and systemd."""
    yield from _lend(host_overlay())


@pytest.fixture(scope="session")
def debian13() -> Iterator[Machine]:
    """Debian 13: systemd 257 and Python 3.13."""
    yield from _lend(debian("trixie"))


@pytest.fixture(scope="session", params=["debian12", "debian13"], ids=["252", "257"])
def machine(request: pytest.FixtureRequest) -> Machine:
    """Each of the two."""
    booted: Machine = request.getfixturevalue(request.param)
    return booted


@pytest.fixture
def make(machine: Machine) -> Iterator[Make]:
    """Makes projects on the machine, and ends them."""
    made = Projects(machine)
    yield made.make
    for project in made:
        project.end()
