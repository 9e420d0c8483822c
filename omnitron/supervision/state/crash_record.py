"""The crash record: written by the helpers, read by `status` and the watcher.

One file per process, or per stack under a group strategy, in `/run/omnitron/<prefix>/`. The folder
is on a tmpfs, so the file never has a CLOCK_MONOTONIC time of an earlier boot. Fields are separated by tabs:

    crash  812.25  omnitron-dev-api.service
    unit   omnitron-dev-api.service  3  814.25
    exit   omnitron-dev-api.service  1764000000.5  exit-code  exited  1
    run    omnitron-dev-api.service  5c3be0f8a2d94f7f8a5d1b8f0f4c9e21
    final  omnitron-dev-api.service  1764000001.5  crashed (exit code 1): given up after 3 restarts

The fields are those of the classes below. The format is not JSON, because the import of its parser takes longer
than everything else that a helper does at a crash.
"""

from __future__ import annotations

import os

from ..light.contextmanager import contextmanager
from ..light.namedtuple import NamedTuple
from . import trusted_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_CRASHES = 5000
MAX_UNITS = 1000
SIZE_LIMIT = 4 * 1024 * 1024  # bytes; more than the above with the longest unit names


class Crash(NamedTuple):
    """A crash that counts against the budget: its time (monotonic seconds) and its unit."""

    at: float
    unit: str


class Exit(NamedTuple):
    """The last crash of a unit: its time (unix seconds), and SERVICE_RESULT, EXIT_CODE, EXIT_STATUS of systemd.

    `run` is the invocation id of the run that crashed, empty if it is not available.
    """

    at: float
    result: str
    code: str
    status: str
    run: str = ""


class Final(NamedTuple):
    """The final crash of a unit: its time (unix seconds) and the reason for no further restart."""

    at: float
    reason: str


class UnitRecord:
    """The record of one unit.

    `restarts`: restarts after crashes, since boot. `next`: time of the start after a crash (monotonic seconds; a
    time in the past means the same as None). `final`: set from the final crash until the next start.
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
    """The content of one file: the crashes inside the window, oldest first, and the units by name."""

    def __init__(self, crashes: list[Crash] | None = None, units: dict[str, UnitRecord] | None = None) -> None:
        self.crashes = crashes or []
        self.units = units or {}

    def unit(self, name: str) -> UnitRecord:
        """Return the record of the unit `name`; create it if necessary."""
        return self.units.setdefault(name, UnitRecord())


def read(path: str | os.PathLike[str]) -> Record:
    """Return the record at `path`; an empty one if the file is missing, damaged, or not trusted.

    OSError only if no descriptor or memory is left to read it.
    """
    folder, name = os.fspath(path).rsplit("/", 1)
    try:
        with trusted_files.opened_folder(folder) as descriptor:
            return _load(descriptor, name)
    except OSError as error:
        trusted_files.raise_exhausted(error)
        return Record()


@contextmanager
def update(path: str | os.PathLike[str]) -> Iterator[Record]:
    """Lock and return the record at `path`; it is written at the end of the block unless the block raises.

    OSError if it cannot be written: no space left, locked for too long, a folder that is not trusted.
    """
    folder, name = os.fspath(path).rsplit("/", 1)
    with trusted_files.opened_folder(folder, create=True) as descriptor, trusted_files.locked(descriptor, name):
        record = _load(descriptor, name)
        yield record
        trusted_files.replace_file(descriptor, name, dump(record))


def _load(folder: int, name: str) -> Record:
    try:
        return parse(trusted_files.read_file(folder, name, SIZE_LIMIT))
    except OSError as error:
        trusted_files.raise_exhausted(error)
        return Record()


def forgive(record: Record, unit: str) -> None:
    """Give `unit` a new budget. A group shares one record, so all its units get the new budget."""
    record.crashes = []
    state = record.unit(unit)
    state.next = state.final = None


def dump(record: Record) -> bytes:
    """Return the text of the file, limited to the newest crashes and the units that crashed last."""
    newest = sorted(record.units.items(), key=lambda item: item[1].last_exit or Exit(0, "", "", ""))
    lines = [_line("crash", *crash) for crash in record.crashes[-MAX_CRASHES:]]
    for name, unit in newest[-MAX_UNITS:]:
        lines.append(_line("unit", name, unit.restarts, "" if unit.next is None else unit.next))
        if unit.last_exit:
            *exit_, run = unit.last_exit
            lines += [_line("exit", name, *exit_), _line("run", name, run)]
        if unit.final:
            lines.append(_line("final", name, *unit.final))
    return "".join(lines).encode(errors="replace")


def _line(*fields: object) -> str:
    return "\t".join(str(field).replace("\t", " ").replace("\n", " ") for field in fields) + "\n"


def parse(text: bytes) -> Record:
    """Parse the text of the file; damaged lines are ignored."""
    record = Record()
    for line in text.decode(errors="replace").split("\n"):
        kind, *fields = line.split("\t")
        try:
            _take(record, kind, fields)
        except ValueError:
            continue
    record.crashes.sort()
    return record


def _take(record: Record, kind: str, fields: list[str]) -> None:
    """Add one line to the record; ValueError if it is damaged."""
    if kind == "crash":
        at, unit = fields
        record.crashes.append(Crash(_number(at), unit))
    elif kind == "unit":
        name, restarts, due = fields
        numbers = int(_number(restarts)), _number(due) if due else None
        record.unit(name).restarts, record.unit(name).next = numbers
    elif kind == "exit":
        name, at, result, code, status = fields
        record.unit(name).last_exit = Exit(_number(at), result, code, status)
    elif kind == "run":
        name, run = fields
        if last := record.unit(name).last_exit:
            record.unit(name).last_exit = Exit(*last[:-1], run)
    elif kind == "final":
        name, at, reason = fields
        record.unit(name).final = Final(_number(at), reason)


def _number(text: str) -> float:
    number = float(text)
    if not 0 <= number < 1e11:
        raise ValueError(f"not a time or a count: {text!r}")
    return number
