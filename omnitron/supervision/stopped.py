"""The file beside the crash record that says: this run of this unit is ended by the watcher.

Its name is `<unit>.stop`, its only line the invocation id of the run. A program that dies of the SIGTERM
of a stop looks like one that somebody else has killed; the line spares `after_stop.sh` the question to
systemd which of the two it was. About another run it says nothing, so it may be left behind.
"""

from __future__ import annotations

from . import store


def note(folder: str, unit: str, run: str) -> None:
    """Say that the run `run` of `unit` is ended; `folder` is the one of its crash record."""
    with store.opened_folder(folder, create=True) as opened:
        store.replace_file(opened, f"{unit}.stop", f"{run}\n".encode())
