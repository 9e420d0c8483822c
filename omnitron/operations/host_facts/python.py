"""The Python interpreters of this host: omnitron's own, and those of virtual environments."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from omnitron.definition.paths import is_file
from omnitron.planner.facts import VirtualEnvironment

STABLE_PYTHON = Path("/usr/bin/python3")


def helper_interpreter() -> Path:
    """Return the interpreter for helpers: the distribution's, which outlives virtual environments."""
    return STABLE_PYTHON if STABLE_PYTHON.exists() else Path(sys.executable)


def prefix_of(interpreter: Path) -> Path:
    """Return the folder of the installation that an interpreter belongs to."""
    return interpreter.resolve().parent.parent


def environments(interpreters: Iterable[Path]) -> dict[Path, VirtualEnvironment]:
    """Return the virtual environments, by the path of their interpreter, of those that are there."""
    return {path: VirtualEnvironment(prefix_of(path), _has_omnitron(path)) for path in interpreters if is_file(path)}


def _has_omnitron(interpreter: Path) -> bool:
    """Return whether a virtual environment has omnitron, installed as usual or in a way that leaves it elsewhere."""
    packages = (interpreter.parent.parent / "lib").glob("python3*/site-packages")
    return any(next(folder.glob("omnitron-*.dist-info"), None) for folder in packages)
