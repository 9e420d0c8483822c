"""The file beside the crash record with the delay before the next start of a unit.

Its name is `<unit>.due`. `start_delay.sh` only checks if it exists, so that an ordinary start needs no
interpreter.
"""

from __future__ import annotations

import os

from ..light.namedtuple import NamedTuple
from . import trusted_files

SUFFIX = ".due"  # start_delay.sh has it too
SIZE_LIMIT = 100  # bytes


class Due(NamedTuple):
    """The time of the next start (monotonic seconds) and the number of crashes, of one unit or of a `group`."""

    at: float = 0.0
    attempt: int = 0
    group: bool = False


def write(record: str, unit: str, due: Due) -> None:
    """Note `due` for the next start of `unit`; `record` is the path of its crash record."""
    text = f"{due.at:.6f} {due.attempt} {due.group:d}\n"
    with trusted_files.opened_folder(_folder(record), create=True) as folder:
        trusted_files.replace_file(folder, _name(unit), text.encode())


def read(record: str, unit: str) -> Due:
    """Return the note for the next start of `unit`; a time in the past if it cannot be read."""
    try:
        with trusted_files.opened_folder(_folder(record)) as folder:
            at, attempt, group = trusted_files.read_file(folder, _name(unit), SIZE_LIMIT).split()
        return Due(float(at), int(attempt), group == b"1")
    except (OSError, ValueError):
        return Due()


def is_noted(record: str, unit: str) -> bool:
    """Return whether the note still exists; True if that cannot be determined."""
    try:
        with trusted_files.opened_folder(_folder(record)) as folder:
            os.stat(_name(unit), dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    except OSError:
        pass
    return True


def remove(record: str, unit: str) -> None:
    """Remove the note."""
    with trusted_files.opened_folder(_folder(record)) as folder:
        trusted_files.remove_file(folder, _name(unit))


def _folder(record: str) -> str:
    return record.rpartition("/")[0]


def _name(unit: str) -> str:
    return f"{unit}{SUFFIX}"
