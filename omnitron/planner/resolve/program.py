"""What a process runs: the argument vector of a script or command, and the files that it needs to see."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from omnitron.definition.paths import absolute, is_file

NODE_SUFFIXES = (".js", ".mjs", ".cjs", ".ts", ".mts")
VENV_FOLDERS = (".venv", "venv")
SYSTEM_PYTHON = "/usr/bin/python3"


@dataclass(frozen=True)
class Program:
    """An argument vector, and the paths outside the project that it needs to read."""

    argv: tuple[str, ...]
    reads: tuple[Path, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    """Variables that suit the interpreter; anything in a definition wins over them."""


def script(path: Path, folder: Path, project: Path) -> Program:
    """Return how the script at `path` is run: by Python, by node, or as it is."""
    if path.suffix == ".py":
        python, reads = interpreter(folder, project)
        # Lines of a log are wanted when they are written, not when a buffer is full.
        return Program((python, str(path)), (path.parent, *reads), (("PYTHONUNBUFFERED", "1"),))
    if path.suffix in NODE_SUFFIXES:
        return Program(("node", str(path)), (path.parent,))
    return Program((str(path),), (path.parent,))


def interpreter(folder: Path, project: Path) -> tuple[str, tuple[Path, ...]]:
    """Return the Python of an app, from the virtual environment nearest to it, and what it reads."""
    for base in dict.fromkeys((folder, project)):
        for name in VENV_FOLDERS:
            python = base / name / "bin" / "python"
            if is_file(python):
                return str(python), (base / name, python.resolve().parent.parent)
    return SYSTEM_PYTHON, ()


def host(spec: str, folder: Path, project: Path, own: Path, package: Path) -> Program:
    """Return how the process host runs what the file `spec` describes.

    It runs in the virtual environment of the app where that has omnitron, else in omnitron's `own`.
    """
    python, reads = interpreter(folder, project)
    if not reads or not _has_omnitron(Path(python)):
        # Not resolved: a virtual environment is known by the path of its interpreter.
        python, reads = str(own), (own.parent.parent, own.resolve().parent.parent, package)
    # -P: a file of the app's must not stand in for a module of Python's while the host starts.
    return Program((python, "-P", "-m", "omnitron.host", spec), (folder, *reads))


def _has_omnitron(python: Path) -> bool:
    """Whether a virtual environment has omnitron, installed as usual or in a way that leaves it elsewhere."""
    packages = (python.parent.parent / "lib").glob("python3*/site-packages")
    return any(next(folder.glob("omnitron-*.dist-info"), None) for folder in packages)


def command(argv: list[str], folder: Path) -> Program:
    """Return how a command is run: a program with a slash in it is relative to the app's folder."""
    program = argv[0]
    if "/" not in program:
        return Program(tuple(argv))
    path = absolute(folder, program)
    return Program((str(path), *argv[1:]), (path.parent,))
