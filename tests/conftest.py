"""Options of the whole test set."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden-update", action="store_true", help="write what tests/golden expects anew; read the diff")


def pytest_configure(config: pytest.Config) -> None:
    """Tests that interrupt a command need one that can be: a shell's background jobs cannot, nor their children."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first: one of the workers would else be alone with it in the end."""
    items.sort(key=lambda item: item.path.name != "test_vm.py")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, None]:
    """In CI nothing is skipped: what a test needs must be there, so a skip is a failure."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("CI"):
        report.outcome, report.longrepr = "failed", f"skipped in CI: {report.longrepr}"
