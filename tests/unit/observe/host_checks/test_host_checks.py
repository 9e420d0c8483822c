"""The list of checks."""

from __future__ import annotations

import pkgutil

from omnitron.observe import host_checks

NO_CHECKS = {"finding", "programs", "subject"}


def test_every_check_is_listed() -> None:
    modules = {module.name for module in pkgutil.iter_modules(host_checks.__path__)} - NO_CHECKS
    assert {check.__module__.rpartition(".")[2] for check in host_checks.CHECKS} == modules
