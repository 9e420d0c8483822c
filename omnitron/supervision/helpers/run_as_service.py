"""Runs a command with the rights of a running service, for probes."""

from __future__ import annotations

import ctypes
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def main(arguments: Sequence[str]) -> int:
    """`UID GID PID PROGRAM ARGUMENT…`: run the program as that user, with the mounts, folder and environment of PID.

    A probe must not have more rights than its service. UID and GID are those in systemd's properties: if the main
    process has others (a setuid program), the probe does not run. In the service manager of a user the probe runs
    with the rights of that user, without joining the mounts.
    """
    libc = ctypes.CDLL(None, use_errno=True)  # loaded now: the mounts of the service may not contain it
    uid, gid, pid, *argv = arguments
    # Opened once: a moment later the pid may belong to another process.
    process = os.open(f"/proc/{int(pid)}", os.O_PATH | os.O_DIRECTORY)
    status = _status(process)
    environment = _environment(process)
    folder = os.open("cwd", os.O_PATH | os.O_DIRECTORY, dir_fd=process)
    if os.geteuid() == 0:
        if set(status["Uid"]) != {str(int(uid))} or set(status["Gid"]) != {str(int(gid))}:
            raise PermissionError(f"its main process runs as another user: {' '.join(status['Uid'])}")
        mounts = os.open("ns/mnt", os.O_RDONLY, dir_fd=process)
        if libc.setns(mounts, 0x00020000):  # CLONE_NEWNS
            raise OSError(ctypes.get_errno(), "cannot join the mounts of the service")
    os.fchdir(folder)
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    if os.geteuid() == 0:
        _drop_capabilities(libc, int(status["CapBnd"][0], 16))
        os.setgroups([int(group) for group in status["Groups"]])
        os.setresgid(*[int(gid)] * 3)
        os.setresuid(*[int(uid)] * 3)
    os.execvpe(argv[0], argv, environment)


def _drop_capabilities(libc: Any, bounding_set: int) -> None:
    """Drop the capabilities outside of the bounding set of the service, also for root."""
    for capability in range(64):
        if not bounding_set & 1 << capability:
            libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


def _read(process: int, name: str) -> bytes:
    with os.fdopen(os.open(name, os.O_RDONLY, dir_fd=process), "rb") as file:
        return file.read()


def _status(process: int) -> dict[str, list[str]]:
    lines = _read(process, "status").decode(errors="replace").splitlines()
    return {key: value.split() for key, _, value in (line.partition(":") for line in lines)}


def _environment(process: int) -> dict[bytes, bytes]:
    pairs = [pair.partition(b"=") for pair in _read(process, "environ").split(b"\0") if b"=" in pair]
    return {name: value for name, _, value in pairs}
