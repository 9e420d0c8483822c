"""The users of this host: their names and groups, and the paths that they can get to."""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from omnitron.planner.facts import Identity

REPORT_REACHABLE = 'for path do if [ -L "$path" ] || [ -e "$path" ]; then echo yes; else echo no; fi; done'
"""A shell's program: one line for each of its arguments."""
BATCH = 250
"""Paths of one command: at their longest, these are half of what fits on a command line."""


def account_names() -> frozenset[str]:
    """Return the names of all users."""
    return frozenset(entry.pw_name for entry in pwd.getpwall())


def identities(uids: Iterable[int]) -> dict[int, Identity]:
    """Return the identities of users; one without an account is only a number."""
    return {uid: _identity(uid) for uid in uids}


def _identity(uid: int) -> Identity:
    try:
        account = pwd.getpwuid(uid)
    except KeyError:
        return Identity(f"uid {uid}", frozenset({str(uid)}), frozenset())
    groups = {str(gid) for gid in os.getgrouplist(account.pw_name, account.pw_gid)}
    groups |= {entry.gr_name for entry in grp.getgrall() if str(entry.gr_gid) in groups}
    return Identity(account.pw_name, frozenset({account.pw_name, str(uid)}), frozenset(groups))


def reachable(pairs: Iterable[tuple[int, Path]]) -> frozenset[tuple[int, Path]]:
    """Return those pairs of a uid and a path of which the user can get to the path, or to what there is of it.

    Asked as that user, for whatever is in the way: a process for each user and some hundred paths.
    """
    by_uid: dict[int, list[Path]] = defaultdict(list)
    for uid, path in pairs:
        by_uid[uid].append(path)
    return frozenset((uid, path) for uid, paths in by_uid.items() for path in _reachable_by(uid, paths))


def _reachable_by(uid: int, paths: Sequence[Path]) -> Iterator[Path]:
    present = {path: _nearest_present(path) for path in paths}
    within_reach: set[Path] = set()
    distinct = sorted(set(present.values()))
    for start in range(0, len(distinct), BATCH):
        within_reach.update(_test_as(uid, distinct[start : start + BATCH]))
    return (path for path in paths if present[path] in within_reach)


def _nearest_present(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if os.path.lexists(parent))


def _test_as(uid: int, paths: Sequence[Path]) -> Iterator[Path]:
    """Yield those of `paths` that a user can get to: none for one without an account."""
    command = ["/bin/sh", "-c", REPORT_REACHABLE, "sh", *map(str, paths)]
    try:
        account = pwd.getpwuid(uid)
        groups = os.getgrouplist(account.pw_name, account.pw_gid)
        result = subprocess.run(
            command,
            user=uid,
            group=account.pw_gid,
            extra_groups=groups,
            cwd="/",
            env={},
            stdout=subprocess.PIPE,
            text=True,
        )
    except (KeyError, OSError, ValueError):
        return
    lines = result.stdout.splitlines()
    if result.returncode == 0 and len(lines) == len(paths):
        yield from (path for path, line in zip(paths, lines, strict=True) if line == "yes")


def other_owner(folder: Path) -> str | None:
    """Return the first user other than root who owns `folder`, what is in it, or a folder above it."""
    for path in (*folder.glob("*.sh"), folder, *folder.parents):
        uid = path.stat().st_uid
        if uid != 0:
            return _name_of(uid)
    return None


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
