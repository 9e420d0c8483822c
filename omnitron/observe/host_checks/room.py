"""Room for what is written while apps run: the records of crashes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from omnitron.observe.host_checks.finding import Finding
from omnitron.observe.host_checks.subject import Subject
from omnitron.systemd.local import runtime_folder

LEAST_BYTES = 1 << 20
"""Far more than the records of a host take, at a few hundred bytes for each process that has crashed."""


def check(subject: Subject) -> Iterator[Finding]:
    """Look whether records of crashes can be written."""
    yield from in_folder(runtime_folder(subject.is_user))


def in_folder(folder: Path) -> Iterator[Finding]:
    """Look at the file system of `folder`; one that is not there is the subject of another check."""
    try:
        room = os.statvfs(folder)
    except OSError:
        return
    lacking = (
        "space"
        if room.f_bavail * room.f_frsize < LEAST_BYTES
        else "inodes"
        if room.f_files and not room.f_ffree
        else None
    )
    if lacking:
        message = f"{folder} has no {lacking} left: crashes are not counted, so nothing that keeps crashing is given up"
        yield Finding("room", "fail", message, f"remove what fills it: du -xah {folder} | sort -h | tail")
