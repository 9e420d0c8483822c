"""Small files that root can trust: read, locked, and replaced atomically.

Root writes files that all users can read. So each folder of a path is opened without following symbolic links, and
must belong to root or to this user.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time

from ..light.contextmanager import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

LOCK_PATIENCE_S = 5.0
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A FIFO in place of the file must not block the reader.
_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def opened_folder(path: str, *, create: bool = False) -> Iterator[int]:
    """Open the folder `path` (absolute), for use as `dir_fd`; with `create`, missing folders are created (0755).

    OSError if it is missing, if a component is a symbolic link, or if another user could change it.
    """
    if not path.startswith("/"):
        raise OSError(errno.EINVAL, "not an absolute path", path)
    folder = os.open("/", _FOLDER)
    try:
        for name in filter(None, path.split("/")):
            inner = _step(folder, name, create=create)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


def make_private(folder: int) -> None:
    """Allow access to an opened folder only for its owner."""
    os.chmod(f"/proc/self/fd/{folder}", 0o700)  # noqa: PTH101 - a descriptor of O_PATH takes no fchmod


def _step(folder: int, name: str, *, create: bool) -> int:
    if create:
        _make(folder, name)
    inner = os.open(name, _FOLDER, dir_fd=folder)
    status = os.fstat(inner)
    writable = stat.S_IMODE(status.st_mode) & 0o022 and not status.st_mode & stat.S_ISVTX
    if status.st_uid not in (0, os.geteuid()) or writable:
        os.close(inner)
        raise OSError(errno.EPERM, "folder can be changed by another user", name)
    return inner


def _make(folder: int, name: str) -> None:
    try:
        os.mkdir(name, 0o755, dir_fd=folder)
    except FileExistsError:
        return
    made = os.open(name, os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.fchmod(made, 0o755)  # the UMask= of the unit may have removed bits
    finally:
        os.close(made)


def raise_exhausted(error: OSError) -> None:
    """Raise the error again if it is not about the file: no descriptor or no memory is left."""
    if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
        raise error


def read_file(folder: int, name: str, limit: int) -> bytes:
    """Return the content of `name` in `folder`; OSError unless it is trusted and at most `limit` bytes long."""
    file = os.open(name, os.O_RDONLY | _FILE, dir_fd=folder)
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode) or status.st_uid not in (0, os.geteuid()) or status.st_mode & 0o022:
            raise OSError(errno.EPERM, "not a regular file that only root or this user can write", name)
        data = os.read(file, limit + 1)
    finally:
        os.close(file)
    if len(data) > limit:
        raise OSError(errno.EFBIG, "too long", name)
    return data


def replace_file(folder: int, name: str, data: bytes, *, private: bool = False, lasting: bool = False) -> None:
    """Replace `name` with `data` atomically; call it with the lock of that name held.

    All users can read the file unless it is `private`; a `lasting` file is synced to disk.
    """
    mode = 0o600 if private else 0o644
    temporary = f"{name}.new"
    remove_file(folder, temporary)
    file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FILE, mode, dir_fd=folder)
    try:
        os.fchmod(file, mode)
        written = os.write(file, data)
        if written != len(data):
            raise OSError(errno.ENOSPC, "no space left for", name)
        if lasting:
            os.fsync(file)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        remove_file(folder, temporary)
        raise
    finally:
        os.close(file)


def remove_file(folder: int, name: str) -> None:
    """Remove `name` from `folder` if it exists."""
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return  # the import of `contextlib.suppress` takes too long


@contextmanager
def locked(folder: int, name: str) -> Iterator[None]:
    """Hold the lock of `name`, a separate file beside it; TimeoutError after LOCK_PATIENCE_S seconds."""
    # 0600: a user who can open the file could hold the lock and block every crash helper.
    lock = os.open(f"{name}.lock", os.O_RDWR | os.O_CREAT | _FILE, 0o600, dir_fd=folder)
    try:
        _acquire(lock, name)
        yield
    finally:
        os.close(lock)


def _acquire(lock: int, name: str) -> None:
    give_up, pause = time.monotonic() + LOCK_PATIENCE_S, 0.002
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > give_up:
                raise TimeoutError(errno.ETIMEDOUT, "locked by another process", name) from None
            time.sleep(pause)
            pause = min(pause * 1.5, 0.05)
