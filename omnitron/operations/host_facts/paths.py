"""Files and folders of this host: their kind, their owner, and whether only root may change them."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from omnitron.planner.facts import PathFact

OTHERS_MAY_WRITE = 0o022


def kinds(paths: Iterable[Path]) -> dict[Path, PathFact]:
    """Return the kind and the owner of the file at each path."""
    return {path: _kind(path) for path in paths}


def _kind(path: Path) -> PathFact:
    try:
        status = path.stat()
    except PermissionError:
        return PathFact("hidden")
    except (OSError, ValueError):
        return PathFact("none")
    if stat.S_ISREG(status.st_mode):
        return PathFact("file", status.st_uid)
    return PathFact("folder" if stat.S_ISDIR(status.st_mode) else "other", status.st_uid)


def changeable(paths: Iterable[Path]) -> dict[Path, Path | None]:
    """Return, for each path, the first one, itself or below it, that users other than root may change."""
    return {path: next(filter(_may_change, _tree(path)), None) for path in paths}


def _tree(path: Path) -> Iterator[Path]:
    yield path
    yield from path.rglob("*")


def _may_change(path: Path) -> bool:
    try:
        status = path.stat()
    except FileNotFoundError:
        return path.is_symlink()  # a file that is missing is another problem, but somebody may create a link's target
    except OSError:
        return True
    return status.st_uid != 0 or bool(status.st_mode & OTHERS_MAY_WRITE)
