"""The program of a process: the argument vector of a script or command, and the files that it needs to see."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from omnitron.definition.paths import absolute
from omnitron.planner.facts import HostFacts

NODE_SUFFIXES = (".js", ".mjs", ".cjs", ".ts", ".mts")
PYTHON_SUFFIX = ".py"
VENV_FOLDERS = (".venv", "venv")
SYSTEM_PYTHON = "/usr/bin/python3"


@dataclass(frozen=True)
class Program:
    """An argument vector, and the paths outside the project that it needs to read."""

    argv: tuple[str, ...]
    reads: tuple[Path, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    """Variables that suit the interpreter; anything in a definition wins over them."""


def script(path: Path, folder: Path, project: Path, facts: HostFacts) -> Program:
    """Return how the script at `path` is run: by Python, by node, or as it is."""
    if path.suffix == PYTHON_SUFFIX:
        python, reads = interpreter(folder, project, facts)
        # Lines of a log are wanted when they are written, not when a buffer is full.
        return Program((python, str(path)), (path.parent, *reads), (("PYTHONUNBUFFERED", "1"),))
    if path.suffix in NODE_SUFFIXES:
        return Program(("node", str(path)), (path.parent,))
    return Program((str(path),), (path.parent,))


def interpreters(folder: Path, project: Path) -> Iterator[Path]:
    """Yield the paths at which the interpreter of an app's virtual environment may be, the nearest first."""
    for base in dict.fromkeys((folder, project)):
        for name in VENV_FOLDERS:
            yield base / name / "bin" / "python"


def interpreter(folder: Path, project: Path, facts: HostFacts) -> tuple[str, tuple[Path, ...]]:
    """Return the Python of an app, from the virtual environment nearest to it, and what it reads."""
    for python in interpreters(folder, project):
        if environment := facts.environments.get(python):
            return str(python), (python.parent.parent, environment.prefix)
    return SYSTEM_PYTHON, ()


def host(spec: str, folder: Path, project: Path, facts: HostFacts) -> Program:
    """Return how the process host runs what the file `spec` describes.

    It runs in the virtual environment of the app where that has omnitron, else in omnitron's own.
    """
    python, reads = interpreter(folder, project, facts)
    if not reads or not facts.environments[Path(python)].has_omnitron:
        python, reads = str(facts.host_python), (*facts.own_folders, facts.package_folder)
    # -P: a file of the app's must not stand in for a module of Python's while the host starts.
    return Program((python, "-P", "-m", "omnitron.host", spec), (folder, *reads))


def command(argv: list[str], folder: Path) -> Program:
    """Return how a command is run: a program with a slash in it is relative to the app's folder."""
    program = argv[0]
    if "/" not in program:
        return Program(tuple(argv))
    path = absolute(folder, program)
    return Program((str(path), *argv[1:]), (path.parent,))
