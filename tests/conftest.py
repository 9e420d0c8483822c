"""Options of the whole test set."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parent
VIRTUAL = TESTS / "system/virtual"
LONG = {"test_long_load.py", "test_many_faults.py", "test_vm_faults.py"}
"""What takes so long that `make test` does without it: `make test-all`."""
LONG_TIMEOUT_S = 7200


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden-update", action="store_true", help="write what tests/golden expects anew; read the diff")


def pytest_configure(config: pytest.Config) -> None:
    """Tests that interrupt a command need one that can be: a shell's background jobs cannot, nor their children."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its tier. What takes longest begins first: one worker would else be alone with it."""
    for item in items:
        is_long = item.path.name in LONG
        if is_long:
            item.add_marker(pytest.mark.timeout(LONG_TIMEOUT_S))
        item.add_marker("long" if is_long else item.path.relative_to(TESTS).parts[0])
    items.sort(key=lambda item: (item.path.name not in LONG, VIRTUAL not in item.path.parents))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, None]:
    """In CI nothing is skipped: what a test needs must be there, so a skip is a failure."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("CI"):
        report.outcome, report.longrepr = "failed", f"skipped in CI: {report.longrepr}"
