"""The control group of a machine: created before it boots, emptied and removed after it.

Two machines in one group would collide, as systemd-nspawn names its subgroups `payload` and `supervisor`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from omnitron.errors import OmnitronError

MOUNT = Path("/sys/fs/cgroup")
CONTROLLERS = ("cpu", "cpuset", "io", "memory", "pids")
_PREFIX = "omnitron-sandbox-"
# Names of machines have no dot, so this group belongs to no machine.
_EVACUATED = "omnitron-sandbox.host"
_POLL = 0.01


class MachineCgroup:
    """The group of the machine `name`, in each hierarchy that systemd uses on this host.

    `mount` is where the hierarchies are mounted: one of version 2, or (hybrid) version 2 on `unified`
    beside `name=systemd` on `systemd`. Errors of the file system are OSError.
    """

    def __init__(self, name: str, mount: Path = MOUNT) -> None:
        self._name = f"{_PREFIX}{name}"
        self._mount = mount

    @property
    def directories(self) -> list[Path]:
        """The directories of the group, the one of version 2 first; empty if there is no hierarchy."""
        return [root / self._name for root in _hierarchies(self._mount)]

    def create(self) -> None:
        """Make the group, with every controller of `CONTROLLERS` that the host has for version 2."""
        directories = self.directories
        if not directories:
            raise OmnitronError(
                f"cannot make a control group: no hierarchy of version 2 on {self._mount}",
                hint=f"mount -t cgroup2 cgroup2 {self._mount}",
            )
        delegate(directories[0].parent)
        for directory in directories:
            directory.mkdir(exist_ok=True)

    def join(self) -> list[Path]:
        """Return the files to write 0 to: the kernel then moves the writing process into the group."""
        return [directory / "cgroup.procs" for directory in self.directories]

    def guest(self) -> Path:
        """Return the file to join from outside, in a group of its own that is visible in the machine."""
        directory = self.directories[0] / "payload" / "enter"
        directory.mkdir(exist_ok=True)
        return directory / "cgroup.procs"

    def wait_powered_off(self, timeout: float) -> bool:
        """Wait, at most `timeout` seconds, until the guest has no process; return whether that happened.

        systemd-nspawn itself may still run: it waits until the init of the host reaps every process that was
        entered from outside, which can take long or, as in many containers, never happen.
        """
        deadline = time.monotonic() + timeout
        while self._processes("payload"):
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL)
        return True

    def populated(self) -> bool:
        """Return whether the group has a process, zombies not counted."""
        return bool(self._processes())

    def kill(self, timeout: float = 5.0) -> None:
        """Kill all processes, including new ones; OmnitronError if some are left after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while pids := self._processes():
            if time.monotonic() > deadline:
                raise OmnitronError(f"cannot kill {len(pids)} processes: still there after {timeout:g} s")
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(_POLL)

    def remove(self) -> None:
        """Remove the (empty) group, and undo the changes of `create` in the group of the host."""
        for directory in self.directories:
            for group in _bottom_up(directory):
                _remove_group(group)
        for root in _hierarchies(self._mount)[:1]:
            if not any(root.glob(f"{_PREFIX}*")):
                undelegate(root)

    def _processes(self, below: str = "") -> list[int]:
        pids: list[int] = []
        for directory in self.directories[:1]:
            for group in _bottom_up(directory / below):
                with contextlib.suppress(OSError):
                    pids += [int(pid) for pid in (group / "cgroup.procs").read_text().split()]
        # A process of another pid namespace is listed as 0, and kill(0) would signal our own process group.
        return [pid for pid in pids if pid]


def delegate(root: Path, controllers: Sequence[str] = CONTROLLERS) -> None:
    """Enable `controllers`, as far as the host has them, for the groups below `root`.

    In a container `root` is not the root of the kernel, and such a group cannot have both processes and controllers
    for its children. Then its processes are moved to a leaf, from where `undelegate` moves them back.
    """
    available = (root / "cgroup.controllers").read_text().split()
    for controller in (c for c in controllers if c in available):
        if _enable(root, controller) == errno.EBUSY:
            (root / _EVACUATED).mkdir(exist_ok=True)
            _move(root, root / _EVACUATED)
            _enable(root, controller)


def undelegate(root: Path) -> None:
    """Move the processes in the leaf of `delegate` back to `root`, and disable the controllers again."""
    leaf = root / _EVACUATED
    if not leaf.is_dir():
        return
    enabled = (root / "cgroup.subtree_control").read_text().split()
    (root / "cgroup.subtree_control").write_text(" ".join(f"-{controller}" for controller in enabled))
    _move(leaf, root)
    _remove_group(leaf)


def _hierarchies(mount: Path) -> list[Path]:
    if (mount / "cgroup.controllers").exists():
        return [mount]
    if (mount / "unified" / "cgroup.controllers").exists():
        return [root for root in (mount / "unified", mount / "systemd") if root.is_dir()]
    return []


def _enable(root: Path, controller: str) -> int:
    """Return the error number, or 0. A machine works without a controller that the host does not delegate."""
    try:
        (root / "cgroup.subtree_control").write_text(f"+{controller}")
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def _move(source: Path, target: Path) -> None:
    # Repeated, because a process can fork while others are moved.
    while pids := [pid for pid in (source / "cgroup.procs").read_text().split() if pid != "0"]:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                (target / "cgroup.procs").write_text(pid)


def _bottom_up(directory: Path) -> Iterator[Path]:
    return (Path(path) for path, _, _ in os.walk(directory, topdown=False))


def _remove_group(group: Path, timeout: float = 2.0) -> None:
    # The kernel releases a group a moment after its last process has ended.
    deadline = time.monotonic() + timeout
    while group.exists():
        try:
            group.rmdir()
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
            time.sleep(_POLL)
