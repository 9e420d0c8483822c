"""The users of this host, and those who could change what it runs."""

from __future__ import annotations

import pwd
from pathlib import Path

from omnitron.authority.accounts import name_of


def account_names() -> frozenset[str]:
    """Return the names of all users."""
    return frozenset(entry.pw_name for entry in pwd.getpwall())


def other_owner(folder: Path) -> str | None:
    """Return the first user other than root who owns `folder`, what is in it, or a folder above it."""
    for path in (*folder.glob("*.sh"), folder, *folder.parents):
        uid = path.stat().st_uid
        if uid != 0:
            return name_of(uid)
    return None
