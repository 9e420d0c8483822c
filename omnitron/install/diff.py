"""Differences between the files of a plan and the installed files, each with its reason. Pure."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from omnitron.install.manifest import Entry, Manifest
from omnitron.install.store import Transaction, digest
from omnitron.names import instances_among
from omnitron.render.files import File
from omnitron.render.unitfile import parse

Kind = Literal["create", "change", "remove", "keep"]


@dataclass(frozen=True)
class Change:
    """One file that would change. `keep`: it is to be removed, but its unit still runs."""

    kind: Kind
    path: Path
    reason: str

    @property
    def unit(self) -> str:
        """Name of the file."""
        return self.path.name


@dataclass(frozen=True)
class Difference:
    """All changes of one stack, and the transaction for them."""

    changes: tuple[Change, ...]
    transaction: Transaction
    is_unknown: bool = False
    """True if files exist, but the manifest that lists them is missing."""

    @property
    def is_empty(self) -> bool:
        """True if there is nothing to write or remove."""
        return not self.transaction.writes and not self.transaction.removes and not self.is_unknown


def compare(
    planned: Mapping[Path, File],
    present: Mapping[Path, str | None],
    installed: Manifest | None,
    manifest: Manifest,
    running: frozenset[str],
    shared: frozenset[str] = frozenset(),
    now: int | None = None,
) -> Difference:
    """Compare the planned files with the files on disk.

    `present` has the text at every planned path, None if there is no file; `manifest` names the project, without
    files; `running` are the active units, `shared` the paths that other stacks need too; `now` is in microseconds.
    """
    entries_before = installed.files if installed else {}
    now = now if now is not None else time.time_ns() // 1000
    changes, writes, entries = [], {}, {}
    for path, file in planned.items():
        before = entries_before.get(str(path))
        entries[str(path)] = _entry(file, before, now)
        change = _change(path, file, present.get(path), before)
        if change:
            changes.append(change)
            writes[path] = file.text
    removes = []
    for name, entry in entries_before.items():
        path = Path(name)
        if path in planned or name in shared:
            continue
        if is_running(path.name, running):
            changes.append(
                Change("keep", path, "no longer in the definition, but still running: `omnitron up` stops it")
            )
            entries[name] = entry
        else:
            changes.append(Change("remove", path, "no longer in the definition"))
            removes.append(path)
    transaction = Transaction(writes, tuple(removes), replace(manifest, files=entries))
    return Difference(tuple(changes), transaction, is_unknown=installed is None and bool(entries))


def is_running(unit: str, running: frozenset[str]) -> bool:
    """Return whether a unit, or an instance of it if it is a template, runs."""
    return unit in running or bool(instances_among(running, unit))


def _entry(file: File, before: Entry | None, now: int) -> Entry:
    same_run = before is not None and before.run_digest == file.run_digest
    return Entry(digest(file.text), file.run_digest, before.since if before and same_run else now)


def _change(path: Path, file: File, present: str | None, before: Entry | None) -> Change | None:
    if present == file.text:
        return None
    if present is None:
        return Change("create", path, "new" if before is None else "the file was deleted")
    if before and digest(present) != before.digest:
        return Change("change", path, f"edited by hand; the edit is overwritten (use `systemctl edit {path.name}`)")
    return Change("change", path, _why(present, file))


def _why(present: str, file: File) -> str:
    if file.place != "units":
        return "the content changed"
    before, after = parse(present), parse(file.text)
    differ: dict[str, None] = {}
    for section in dict.fromkeys([*before, *after]):
        if section == "X-Omnitron":
            continue
        old, new = before.get(section, []), after.get(section, [])
        differ |= {key: None for key, value in [*old, *new] if (key, value) not in old or (key, value) not in new}
    return f"{', '.join(differ)} changed" if differ else "only comments changed"
