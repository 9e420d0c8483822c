"""What is remembered about a machine between two commands, below `/run/omnitron-sandbox`."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RUN = Path("/run/omnitron-sandbox")


@dataclass(frozen=True)
class Process:
    """A process for good: its pid may be given to another one, its start time and parent then differ.

    `start` is in clock ticks since the host booted.
    """

    pid: int
    parent: int
    start: int

    @classmethod
    def read(cls, pid: int) -> Process | None:
        """The process that has `pid` now; None when there is none, or only its exit status."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        except OSError:
            return None
        # The command name, in parentheses, may hold anything.
        state, parent, *rest = stat.rpartition(")")[2].split()
        return None if state in "ZX" else cls(pid, int(parent), int(rest[17]))

    def alive(self) -> bool:
        """Whether it still runs, below the same parent: an orphan is not alive."""
        return Process.read(self.pid) == self

    def age(self) -> float:
        """Seconds since it started."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) - self.start / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Options:
    """How a machine was booted; the texts are paths and options of systemd-nspawn."""

    root: str
    binds: tuple[str, ...]
    private_network: bool
    unit: str


@dataclass(frozen=True)
class Record:
    """A booted machine: its init, the version of the systemd it runs, how it was booted.

    The init's parent is systemd-nspawn: should that be killed, the init lives on as an orphan.
    """

    leader: Process
    systemd: int
    options: Options


class RunDirectory:
    """`/run/omnitron-sandbox/NAME`, for root alone; it exists while the machine does."""

    def __init__(self, name: str, run: Path = RUN) -> None:
        self.path = run / name
        self.filesystem = self.path / "fs"
        self.notify = self.path / "notify"
        self.console = self.path / "console"
        self._record = self.path / "machine.json"

    def create(self) -> None:
        """Make it and the mount point in it; the caller holds the lock."""
        self.path.mkdir(mode=0o700)
        self.filesystem.mkdir()

    def remove(self) -> None:
        """Remove it, as far as it is there."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.path)

    def write(self, record: Record) -> None:
        """Remember a booted machine."""
        draft = self._record.with_suffix(".new")
        draft.write_text(json.dumps(dataclasses.asdict(record)))
        draft.rename(self._record)

    def running(self) -> Record | None:
        """The machine, when it was booted and runs; PermissionError when the reader is not root."""
        try:
            record = _parse(self._record.read_text())
        except FileNotFoundError:
            return None
        return record if record and record.leader.alive() else None


def _parse(text: str) -> Record | None:
    try:
        data = json.loads(text)
        options = data["options"] | {"binds": tuple(data["options"]["binds"])}
        return Record(Process(**data["leader"]), int(data["systemd"]), Options(**options))
    except (KeyError, TypeError, ValueError):
        # Of another version of omnitron: not to be entered, but to be cleared away by the next up or down.
        return None


def machines(run: Path = RUN) -> list[str]:
    """The names of the machines that were booted and not taken down; PermissionError as above."""
    try:
        return sorted(path.name for path in run.iterdir())
    except FileNotFoundError:
        return []


@contextlib.contextmanager
def locked(run: Path = RUN) -> Iterator[None]:
    """Hold the lock of all machines: nobody else boots one or takes one down meanwhile.

    The lock is on the directory of all machines, which is removed with the last of them.
    """
    descriptor = _lock(run)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            run.rmdir()
        os.close(descriptor)


def _lock(run: Path) -> int:
    while True:
        run.mkdir(mode=0o700, exist_ok=True)
        try:
            descriptor = os.open(run, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor
        # Removed by its last holder while we waited: the lock is on another directory now.
        os.close(descriptor)
