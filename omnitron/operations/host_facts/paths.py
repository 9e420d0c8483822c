"""Files and folders of this host: their kind and their owner."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from pathlib import Path

from omnitron.planner.facts import PathFact


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
