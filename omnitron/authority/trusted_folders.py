"""The folders that root has trusted: whoever can write there is as good as root on this host.

Each is a file of root's in /etc/omnitron/trusted.d: `{"path", "uid", "by", "at"}`.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from omnitron.authority.accounts import name_of
from omnitron.errors import OmnitronError, UsageError

FOLDER = Path("/etc/omnitron/trusted.d")
SUFFIX = ".json"
MAX_BYTES = 1 << 16


@dataclass(frozen=True)
class TrustedFolder:
    """A folder whose owner root has trusted."""

    path: Path
    """With all links resolved."""
    uid: int
    """Its owner at that time; the trust ends when it gets another."""
    by: str
    """User who said so."""
    at: float
    """Unix time."""

    @property
    def has_account(self) -> bool:
        """Return whether its owner has an account; else whoever gets the number next would be trusted."""
        return self.owner != f"uid {self.uid}"

    @property
    def owner(self) -> str:
        """Name of its owner."""
        return name_of(self.uid)

    def is_current(self) -> bool:
        """Return whether the folder is there and still its owner's."""
        try:
            return self.path.resolve() == self.path and self.path.stat().st_uid == self.uid
        except OSError:
            return False


def read_all() -> list[TrustedFolder]:
    """Return all trusted folders, by path; raises OmnitronError for a file that is damaged or not root's."""
    try:
        files = sorted(path for path in FOLDER.iterdir() if path.suffix == SUFFIX)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(map(_read, files), key=lambda item: item.path)


def covering(path: Path) -> TrustedFolder | None:
    """Return the innermost trusted folder that holds `path`, which has no links; None without one."""
    holding = [item for item in read_all() if path.is_relative_to(item.path) and item.is_current()]
    return max(holding, key=lambda item: len(item.path.parts), default=None)


def add(folder: TrustedFolder) -> None:
    """Record a trusted folder, atomically; raises OmnitronError where that fails, and nothing is changed then."""
    file = _file_of(folder.path)
    temporary = file.with_suffix(".new")
    try:
        FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
        _write(temporary, json.dumps({**asdict(folder), "path": str(folder.path)}) + "\n")
        temporary.replace(file)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        reason = (error.strerror or str(error)).lower()
        raise OmnitronError(
            f"cannot record that {folder.path} is trusted, in {FOLDER}: {reason}",
            hint="nothing has changed; mend that, and trust it again",
        ) from error


def _write(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    with os.fdopen(descriptor, "w") as stream:
        os.fchmod(descriptor, 0o644)
        stream.write(text)
        stream.flush()
        os.fsync(descriptor)


def checked_owner(folder: Path) -> int:
    """Return the uid of the owner of a folder that can be trusted; raises UsageError for any other."""
    if not folder.is_dir():
        raise UsageError(
            f"cannot trust {folder}: {'it is no folder' if folder.exists() else 'there is no such folder'}"
        )
    status = folder.stat()
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UsageError(
            f"cannot trust {folder}: others than its owner may write there (mode {stat.S_IMODE(status.st_mode):04o})",
            hint=f"take that away first: chmod go-w {folder}",
        )
    above = next((item for item in folder.parents if item.stat().st_uid not in (0, status.st_uid)), None)
    if above:
        raise UsageError(
            f"cannot trust {folder}: {above} belongs to {name_of(above.stat().st_uid)}, who could put another there",
            hint="move it to where only its owner and root can write",
        )
    return status.st_uid


def remove(folder: Path) -> None:
    """Trust a folder no longer; raises UsageError for one that is not trusted."""
    try:
        _file_of(folder).unlink()
    except FileNotFoundError:
        raise UsageError(f"{folder} is not trusted", hint="omnitron trust --list shows what is") from None
    except OSError as error:
        raise OmnitronError(f"cannot trust {folder} no longer: {(error.strerror or str(error)).lower()}") from error


def _file_of(folder: Path) -> Path:
    """The name is for people; the digest tells folders of one name apart."""
    readable = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in folder.name)[:40] or "root"
    return FOLDER / f"{readable}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]}{SUFFIX}"


def _read(file: Path) -> TrustedFolder:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            status = os.fstat(descriptor)
            if status.st_uid != 0 or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise OmnitronError(
                    f"cannot use {file}: others than root may have written it",
                    hint=f"look at it, then chown root: {file} && chmod 644 {file}, or remove it",
                )
            trusted = _parse(json.loads(stream.read(MAX_BYTES)))
    except OSError as error:
        raise OmnitronError(f"cannot read {file}: {(error.strerror or str(error)).lower()}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise OmnitronError(
            f"cannot read {file}: it is damaged", hint=f"rm {file}, then omnitron trust the folder again"
        ) from error
    return trusted


def _parse(values: dict[str, Any]) -> TrustedFolder:
    path, uid, by, at = values["path"], values["uid"], values["by"], values["at"]
    if not (isinstance(path, str) and path.startswith("/") and isinstance(by, str)):
        raise ValueError
    if type(uid) is not int or isinstance(at, bool) or not isinstance(at, int | float):
        raise ValueError
    return TrustedFolder(Path(path), uid, by, at)
