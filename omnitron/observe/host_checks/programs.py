"""True if what units name is on this host."""

from __future__ import annotations

import pwd
import shutil
from pathlib import Path

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Folders in which systemd looks for a program without a slash."""


def exists(path: str) -> bool:
    """Return whether a path is there; one that we may not look at is given the benefit of the doubt."""
    try:
        Path(path).stat()
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def is_program(name: str) -> bool:
    """Return whether systemd finds a program, by its path or its name."""
    return exists(name) if "/" in name else shutil.which(name, path=SEARCH_PATH) is not None


def is_user(name: str) -> bool:
    """Return whether there is a user of that name; any number may be one."""
    try:
        pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    except KeyError:
        return name.isdecimal()
    return True
