"""The stored state of machines between two commands, below `/run/omnitron-sandbox`."""

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
    """A process, identified by pid, start time and parent, because the pid may be used again.

    `start` is in clock ticks since the host booted.
    """

    pid: int
    parent: int
    start: int

    @classmethod
    def read(cls, pid: int) -> Process | None:
        """Return the process with this pid; None if there is none, or if it is a zombie."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        except OSError:
            return None
        # The command name, in parentheses, may contain any character.
        state, parent, *rest = stat.rpartition(")")[2].split()
        return None if state in "ZX" else cls(pid, int(parent), int(rest[17]))

    def alive(self) -> bool:
        """Return whether it still runs with the same parent: an orphan does not count."""
        return Process.read(self.pid) == self

    def age(self) -> float:
        """Return the seconds since its start."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) - self.start / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Options:
    """The options of a boot: paths, and options of systemd-nspawn."""

    root: str
    binds: tuple[str, ...]
    private_network: bool
    unit: str


@dataclass(frozen=True)
class Record:
    """A booted machine: its init, the version of its systemd, the options of its boot.

    The parent of the init is systemd-nspawn; if that is killed, the init continues as an orphan.
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
        """Create the directory and the mount point in it; the caller holds the lock."""
        self.path.mkdir(mode=0o700)
        self.filesystem.mkdir()

    def remove(self) -> None:
        """Remove the directory, if it exists."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.path)

    def write(self, record: Record) -> None:
        """Store a booted machine."""
        draft = self._record.with_suffix(".new")
        draft.write_text(json.dumps(dataclasses.asdict(record)))
        draft.rename(self._record)

    def running(self) -> Record | None:
        """Return the machine if it runs, None otherwise; PermissionError if the reader is not root."""
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
        # Written by another version of omnitron: it cannot be entered; the next up or down removes it.
        return None


def machines(run: Path = RUN) -> list[str]:
    """Return the names of the machines that were booted and not stopped; PermissionError as above."""
    try:
        return sorted(path.name for path in run.iterdir())
    except FileNotFoundError:
        return []


@contextlib.contextmanager
def locked(run: Path = RUN) -> Iterator[None]:
    """Hold the lock of all machines: no other process boots or stops a machine meanwhile.

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
        # The previous holder removed the directory while we waited: lock the new one.
        os.close(descriptor)
