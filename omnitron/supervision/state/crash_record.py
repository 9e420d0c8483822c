"""The crash record: what the helpers note down, and what `status` and the watcher read.

One file per process, or per stack under a group strategy, in `/run/omnitron/<prefix>/`. Being on a
tmpfs it never holds a CLOCK_MONOTONIC time of an earlier boot. Lines of fields with a tab between two:

    crash  812.25  omnitron-dev-api.service
    unit   omnitron-dev-api.service  3  814.25
    exit   omnitron-dev-api.service  1764000000.5  exit-code  exited  1
    run    omnitron-dev-api.service  5c3be0f8a2d94f7f8a5d1b8f0f4c9e21
    final  omnitron-dev-api.service  1764000001.5  crashed (exit code 1): given up after 3 restarts

The fields are those of the classes below. Not JSON: the import of its parser takes longer than all else
that a helper does at a crash.
"""

from __future__ import annotations

import os

from ..light.contextmanager import contextmanager
from ..light.namedtuple import NamedTuple
from . import trusted_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

CRASHES_KEPT = 5000
UNITS_KEPT = 1000
SIZE_LIMIT = 4 * 1024 * 1024  # bytes; more than the above with the longest unit names


class Crash(NamedTuple):
    """A crash that counts against the budget: when (monotonic seconds), and of which unit."""

    at: float
    unit: str


class Exit(NamedTuple):
    """How a unit last crashed: when (unix seconds), and systemd's SERVICE_RESULT, EXIT_CODE, EXIT_STATUS.

    `run` is the invocation id of the run that ended so, empty where it is not known.
    """

    at: float
    result: str
    code: str
    status: str
    run: str = ""


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
        with trusted_files.opened_folder(folder) as descriptor:
            return _load(descriptor, name)
    except OSError as error:
        trusted_files.raise_exhausted(error)
        return Record()


@contextmanager
def update(path: str | os.PathLike[str]) -> Iterator[Record]:
    """The record at `path`, locked; written back at the end of the block unless that raises.

    OSError when it cannot be written: no space, locked for too long, a folder not to be trusted.
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
    """Give `unit` a new budget, and with it the group whose record this is: one budget is one."""
    record.crashes = []
    state = record.unit(unit)
    state.next = state.final = None


def dump(record: Record) -> bytes:
    """The file's text, bounded in size: the newest crashes, the units that exited last."""
    newest = sorted(record.units.items(), key=lambda item: item[1].last_exit or Exit(0, "", "", ""))
    lines = [_line("crash", *crash) for crash in record.crashes[-CRASHES_KEPT:]]
    for name, unit in newest[-UNITS_KEPT:]:
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
    """Read the file's text; what is damaged is left out, never an error."""
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
    """Take in one line; ValueError when it is not one."""
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
