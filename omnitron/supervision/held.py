"""The file beside the crash records that says: an operator has stopped this unit while it waits for its group.

Its name is `<unit>.held`. systemd has nothing to stop of a unit that is down already, and tells nobody of the
wish; the watcher would start the unit with its group.
"""

from __future__ import annotations

import os

from . import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def hold(folder: str, unit: str) -> None:
    """Say that `unit` shall stay down; `folder` is that of the crash records of its stack."""
    with store.opened_folder(folder, create=True) as opened:
        store.replace_file(opened, _name(unit), b"")


def held(folder: str, units: Iterable[str]) -> frozenset[str]:
    """Which of `units` shall stay down."""
    return frozenset(unit for unit in units if os.path.lexists(f"{folder}/{_name(unit)}"))


def release(folder: str, units: Iterable[str]) -> None:
    """Forget it."""
    with store.opened_folder(folder) as opened:
        for unit in units:
            store.remove_file(opened, _name(unit))


def _name(unit: str) -> str:
    return f"{unit}.held"
