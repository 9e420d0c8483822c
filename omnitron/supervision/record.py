"""The crash record: what the helpers note down, and what `status` and the watcher read.

One JSON file per process, or per stack under a group strategy, in `/run/omnitron/<prefix>/`. Being on
a tmpfs it never holds a CLOCK_MONOTONIC time of an earlier boot.

    {"crashes": [{"at": 812.25, "unit": "omnitron-dev-api.service"}],
     "units": {"omnitron-dev-api.service": {
        "restarts": 3, "next": 814.25,
        "lastExit": {"at": 1764000000.5, "result": "exit-code", "code": "exited", "status": "1"},
        "final": null}}}
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager

from . import store
from .values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

CRASHES_KEPT = 5000
UNITS_KEPT = 1000
SIZE_LIMIT = 4 * 1024 * 1024  # bytes; more than the above with the longest unit names


class Crash(NamedTuple):
    """A crash that counts against the budget: when (monotonic seconds), and of which unit."""

    at: float
    unit: str


class Exit(NamedTuple):
    """How a unit last crashed: when (unix seconds), and systemd's SERVICE_RESULT, EXIT_CODE, EXIT_STATUS."""

    at: float
    result: str
    code: str
    status: str


class Final(NamedTuple):
    """Why a unit was given up, and when (unix seconds)."""

    at: float
    reason: str


class UnitRecord:
    """What is known of one unit.

    `restarts`: after crashes, since boot. `next`: when the start after a crash is due (monotonic
    seconds; a past time is as good as None). `final`: set from giving up until the next start.
    """

    def __init__(
        self,
        restarts: int = 0,
        next: float | None = None,
        last_exit: Exit | None = None,
        final: Final | None = None,
    ) -> None:
        self.restarts = restarts
        self.next = next
        self.last_exit = last_exit
        self.final = final


class Record:
    """One file's content: the crashes inside the window, oldest first, and the units by name."""

    def __init__(self, crashes: list[Crash] | None = None, units: dict[str, UnitRecord] | None = None) -> None:
        self.crashes = crashes or []
        self.units = units or {}

    def unit(self, name: str) -> UnitRecord:
        """The part of the unit `name`, made if it is not there."""
        return self.units.setdefault(name, UnitRecord())


def read(path: str | os.PathLike[str]) -> Record:
    """The record at `path`; an empty one where it is missing, damaged, or not to be trusted.

    OSError only where it cannot be looked for: no descriptor or memory left.
    """
    folder, name = os.fspath(path).rsplit("/", 1)
    try:
        with store.opened_folder(folder) as descriptor:
            return _load(descriptor, name)
    except OSError as error:
        store.raise_exhausted(error)
        return Record()


@contextmanager
def update(path: str | os.PathLike[str]) -> Iterator[Record]:
    """The record at `path`, locked; written back at the end of the block unless that raises.

    OSError when it cannot be written: no space, locked for too long, a folder not to be trusted.
    """
    folder, name = os.fspath(path).rsplit("/", 1)
    with store.opened_folder(folder, create=True) as descriptor, store.locked(descriptor, name):
        record = _load(descriptor, name)
        yield record
        store.replace_file(descriptor, name, dump(record))


def _load(folder: int, name: str) -> Record:
    try:
        return parse(store.read_file(folder, name, SIZE_LIMIT))
    except OSError as error:
        store.raise_exhausted(error)
        return Record()


def forgive(record: Record, unit: str) -> None:
    """Give `unit` a new budget, and with it the group whose record this is: one budget is one."""
    record.crashes = []
    state = record.unit(unit)
    state.next = state.final = None


def dump(record: Record) -> bytes:
    """The file's text, bounded in size: the newest crashes, the units that exited last."""
    newest = sorted(record.units.items(), key=lambda item: item[1].last_exit or Exit(0, "", "", ""))
    content = {
        "crashes": [crash._asdict() for crash in record.crashes[-CRASHES_KEPT:]],
        "units": {name: _unit_to_json(unit) for name, unit in newest[-UNITS_KEPT:]},
    }
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"


def _unit_to_json(unit: UnitRecord) -> dict[str, Any]:
    return {
        "restarts": unit.restarts,
        "next": unit.next,
        "lastExit": unit.last_exit and unit.last_exit._asdict(),
        "final": unit.final and unit.final._asdict(),
    }


def parse(text: bytes) -> Record:
    """Read the file's text; what is damaged is left out, never an error."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return Record()
    if not isinstance(content, dict):
        return Record()
    units = content.get("units")
    crashes = content.get("crashes")
    return Record(
        sorted(filter(None, map(_crash, crashes if isinstance(crashes, list) else []))),
        {name: _unit(value) for name, value in (units if isinstance(units, dict) else {}).items()},
    )


def _crash(value: Any) -> Crash | None:
    at, unit = _number(value, "at"), _text(value, "unit")
    return None if at is None or unit is None else Crash(at, unit)


def _unit(value: Any) -> UnitRecord:
    restarts = _number(value, "restarts")
    exit_ = _part(value, "lastExit")
    final = _part(value, "final")
    exit_at, texts = _number(exit_, "at"), [_text(exit_, key) for key in ("result", "code", "status")]
    final_at, reason = _number(final, "at"), _text(final, "reason")
    return UnitRecord(
        max(0, int(restarts)) if restarts is not None else 0,
        _number(value, "next"),
        None if exit_at is None else Exit(exit_at, *(text or "" for text in texts)),
        None if final_at is None or reason is None else Final(final_at, reason),
    )


def _part(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _number(value: Any, key: str) -> float | None:
    number = _part(value, key)
    usable = isinstance(number, int | float) and not isinstance(number, bool)
    return number if usable and abs(number) < 1e11 else None


def _text(value: Any, key: str) -> str | None:
    text = _part(value, key)
    return text if isinstance(text, str) else None
