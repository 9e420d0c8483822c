"""A command with the rights of a running service, for probes."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def run_as_service(arguments: Sequence[str]) -> int:
    """`PID PROGRAM ARGUMENT…`: become the program, as the user and in the mounts, folder and environment of PID.

    A probe must not be able to do more than the service that it is about. What this process may not join, it
    cannot: in a user's own manager it stays where it is, with that user's rights.
    """
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)  # loaded now: in the service's mounts it may not be there
    pid, *argv = arguments
    status = _status(pid)
    environment = _environment(pid)
    folder = os.open(f"/proc/{pid}/cwd", os.O_PATH | os.O_DIRECTORY)
    if os.geteuid() == 0:
        mounts = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
        if libc.setns(mounts, 0x00020000):  # CLONE_NEWNS
            raise OSError(ctypes.get_errno(), "cannot join the mounts of the service")
    os.fchdir(folder)
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    if os.geteuid() == 0:
        _drop_capabilities(libc, int(status["CapBnd"][0], 16))
        os.setgroups([int(group) for group in status["Groups"]])
        os.setresgid(*[int(status["Gid"][1])] * 3)
        os.setresuid(*[int(status["Uid"][1])] * 3)
    os.execvpe(argv[0], argv, environment)


def _drop_capabilities(libc: Any, kept: int) -> None:
    """Root too keeps only what the service may have."""
    for capability in range(64):
        if not kept & 1 << capability:
            libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


def _status(pid: str) -> dict[str, list[str]]:
    with open(f"/proc/{int(pid)}/status", "rb") as file:  # noqa: PTH123
        lines = file.read().decode(errors="replace").splitlines()
    return {key: value.split() for key, _, value in (line.partition(":") for line in lines)}


def _environment(pid: str) -> dict[bytes, bytes]:
    with open(f"/proc/{int(pid)}/environ", "rb") as file:  # noqa: PTH123
        pairs = [pair.partition(b"=") for pair in file.read().split(b"\0") if b"=" in pair]
    return {name: value for name, _, value in pairs}
