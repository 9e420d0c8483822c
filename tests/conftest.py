"""Options of the whole test set."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.support.checkout import CHECKOUT, PREFIX, copy_checkout, is_open_to_others, remove_stale_copies

TESTS = Path(__file__).parent
VIRTUAL = TESTS / "system/virtual"
NOT_COPIED = {".git", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".venv"}
LONG = {"test_long_load.py", "test_many_faults.py"}
"""What takes so long that `make test` does without it, beside the virtual machines: `make test-all`."""
LONG_TIMEOUT_S = 7200


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden-update", action="store_true", help="write what tests/golden expects anew; read the diff")


def pytest_configure(config: pytest.Config) -> None:
    """Tests that interrupt a command need one that can be: a shell's background jobs cannot, nor their children."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    is_worker, writes = hasattr(config, "workerinput"), config.getoption("--golden-update")
    if os.geteuid() == 0 and not is_worker and not writes and not is_open_to_others():
        _run_in_a_copy(config)


def _run_in_a_copy(config: pytest.Config) -> NoReturn:
    """Run the same tests in a copy that other users can read, and end with their status: some tests are others'."""
    config.pluginmanager.getplugin("capturemanager").stop_global_capturing()
    remove_stale_copies()
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}-{os.getpid()}-") as name:
        folder = Path(name)
        print(f"other users cannot read {CHECKOUT}: testing a copy in {folder}", flush=True)
        names = [path.name for path in CHECKOUT.iterdir() if path.name not in NOT_COPIED]
        copy_checkout(folder, names, folder)
        here = folder / Path.cwd().relative_to(CHECKOUT) if Path.cwd().is_relative_to(CHECKOUT) else folder
        arguments = [argument.replace(str(CHECKOUT), name) for argument in config.invocation_params.args]
        # The copy's own run ends on it, and this one after that.
        signal.signal(signal.SIGINT, lambda *_: None)
        python = folder / ".venv" / Path(sys.executable).relative_to(sys.prefix)
        status = subprocess.call([python, "-m", "pytest", *arguments], cwd=here)
    os._exit(status)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its tier. What takes longest begins first: one worker would else be alone with it."""
    for item in items:
        is_long = item.path.name in LONG or VIRTUAL in item.path.parents
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
