"""How a checkout is written and how fast it starts: `python -m tests.bench structure [CHECKOUT]`."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.bench.table import Row, median, timed_ms
from tests.support import structure

HERE = Path(__file__).parents[2]
RUNS = 15
CRASH_HELPERS = (("supervision/after_stop.py",), ("supervision/helpers/run.py", "count_crash"))
"""The command of the crash helper in checkouts before and after it moved, below the package."""
WATCHERS = ("omnitron.watcher.main", "omnitron.watcher.daemon")

PEAK = """\
import importlib, importlib.util, sys
importlib.import_module(next(name for name in sys.argv[1:] if importlib.util.find_spec(name)))
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")))
"""


def measure(checkout: Path = HERE) -> list[Row]:
    """Return the measures of the package in a checkout; the interpreter and its libraries are those of this run."""
    package = checkout / "omnitron"
    return [*_sizes(package), *_shares(package, checkout / "tests"), *_starts(checkout)]


def _sizes(package: Path) -> list[Row]:
    modules = structure.modules(package)
    longest = max(modules, key=structure.lines)
    functions = [function for path in modules for function in structure.functions(path)]
    top = max(functions, key=lambda function: function.lines)
    place = f"{top.path.relative_to(package)}: {top.name}"
    return [
        Row("modules", len(modules), unit=""),
        Row("median module", median([structure.lines(path) for path in modules]), unit="lines"),
        Row(f"longest module, {longest.relative_to(package)}", structure.lines(longest), unit="lines"),
        Row("median function", median([function.lines for function in functions]), unit="lines"),
        Row(f"longest function, {place}", top.lines, unit="lines"),
    ]


def _shares(package: Path, tests: Path) -> list[Row]:
    modules = structure.modules(package)
    late = sum(len(structure.late_imports(path)) for path in modules)
    return [
        *_by_package("vague names", package, structure.name_share),
        *_by_package("docstrings that begin with a question word", package, structure.question_share),
        Row("imports inside of functions", late, unit=""),
        _row("modules with a test file of their name", structure.tested_share(package, tests)),
    ]


def _by_package(what: str, package: Path, share: Callable[[list[Path]], structure.Share]) -> list[Row]:
    shares = {name: share(paths) for name, paths in structure.packages(package).items()}
    total = sum(shares.values(), structure.Share(0, 0))
    return [_row(what, total), *(_row(f"{what}, {name}", part) for name, part in shares.items())]


def _row(what: str, share: structure.Share) -> Row:
    return Row(f"{what}: {share.part} of {share.whole}", share.percent, unit="%")


def _starts(checkout: Path) -> list[Row]:
    package = checkout / "omnitron"
    helper, *names = next(command for command in CRASH_HELPERS if (package / command[0]).exists())
    status = [sys.executable, "-m", "omnitron", "status", "--help"]
    # Without arguments it ends as soon as it has imported what it needs.
    crash = [sys.executable, "-I", "-S", str(package / helper), *names]
    for command in (status, crash):
        _run(command, checkout)  # which may compile
    peak = _run([sys.executable, "-c", PEAK, *WATCHERS], checkout)
    return [
        Row("omnitron status --help", median([timed_ms(lambda: _run(status, checkout)) for _ in range(RUNS)])),
        Row("CPU of the crash helper", median([_cpu_ms(lambda: _run(crash, checkout)) for _ in range(RUNS)])),
        Row("peak memory of the watcher's imports", int(peak) / 1024, unit="MiB"),
    ]


def _run(command: list[str], checkout: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    done = subprocess.run(
        command, cwd=checkout, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    )
    return done.stdout


def _cpu_ms(action: Callable[[], object]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    action()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
