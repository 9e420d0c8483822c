"""The file beside the crash records for a unit that an operator has stopped while it waits for its group.

Its name is `<unit>.held`. The unit is down already, so systemd has nothing to stop and sends no signal. Without this
file the watcher would start the unit with its group.
"""

from __future__ import annotations

import os

from . import trusted_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

SUFFIX = ".held"


def hold(folder: str, unit: str) -> None:
    """Note that `unit` is to stay down; `folder` is the folder of the crash records of its stack."""
    with trusted_files.opened_folder(folder, create=True) as opened:
        trusted_files.replace_file(opened, _name(unit), b"")


def stopped_units(folder: str, stem: str) -> frozenset[str]:
    """Return the units that are to stay down, of the stack whose units begin with `stem`."""
    try:
        names = [entry.name for entry in os.scandir(folder)]
    except OSError as error:
        trusted_files.raise_exhausted(error)
        return frozenset()
    mine = (name for name in names if name.startswith(f"{stem}-") and name.endswith(SUFFIX))
    return frozenset(name.removesuffix(SUFFIX) for name in mine)


def release(folder: str, units: Iterable[str]) -> None:
    """Remove the notes about `units`."""
    with trusted_files.opened_folder(folder) as opened:
        for unit in units:
            trusted_files.remove_file(opened, _name(unit))


def _name(unit: str) -> str:
    return f"{unit}{SUFFIX}"
