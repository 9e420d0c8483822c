"""Paths as a definition gives them, and what lies there."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def absolute(base: Path, path: str) -> Path:
    """Return `path` made absolute against `base`, with `~` and dots taken out but symlinks kept."""
    relative = Path(path)
    with suppress(RuntimeError):  # "~somebody" that is nobody here is a name like any other
        relative = relative.expanduser()
    return Path(os.path.normpath(base / relative))


def is_file(path: Path) -> bool:
    """Return whether a file can be reached at `path`; one with an impossible name, or out of sight, cannot."""
    return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises for those


def is_folder(path: Path) -> bool:
    """Return whether a folder can be reached at `path`."""
    return os.path.isdir(path)  # noqa: PTH112 - as above
