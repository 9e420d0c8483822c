"""The owner of a definition's file, and whether root may act on it."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

from omnitron.errors import NotPermittedError, OmnitronError


class UntrustedPathError(OmnitronError):
    """Root was asked to act on a definition that somebody else could have changed."""

    exit_code = 5

    def __init__(self, definition: Path, path: Path, who: str, cure: str) -> None:
        super().__init__(f"cannot trust {definition}: {path} can be written by {who}", hint=f"as root, {cure}")


def check_trusted(definition: Path, owner: int | None = None) -> None:
    """Refuse, when root runs, a definition that another than its owner can write, or can replace.

    `owner` is the uid of whose it was when it was read; by default, of whose it is now. A sticky folder such as
    /tmp is fine: only a file's owner can replace it there.
    """
    if os.geteuid() != 0:
        return
    trusted = {0, definition.stat().st_uid if owner is None else owner}
    real = definition.resolve()
    for path in dict.fromkeys((definition, *definition.parents, real, *real.parents)):
        status = path.stat()
        who = _writers(status.st_mode)
        sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
        if who and not sticky:
            raise UntrustedPathError(definition, path, who, f"take that away first: chmod go-w {path}")
        for uid in {status.st_uid, path.lstat().st_uid} - trusted:
            cure = f"make root or the owner of the definition its owner: chown -h root {path}"
            raise UntrustedPathError(definition, path, _name(uid), cure)


def _writers(mode: int) -> str | None:
    if mode & stat.S_IWOTH:
        return "everybody"
    return "its group" if mode & stat.S_IWGRP else None


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def account_of(definition: Path, uid: int) -> pwd.struct_passwd:
    """Return the account of the owner of `definition`; raise when there is none."""
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        raise NotPermittedError(
            f"cannot use {definition}: its owner, uid {uid}, has no account",
            hint="chown it to the user that the apps shall run as",
        ) from None
