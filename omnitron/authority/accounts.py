"""The accounts of the users who own files."""

from __future__ import annotations

import pwd
from pathlib import Path

from omnitron.errors import NotPermittedError


def name_of(uid: int) -> str:
    """Return the name of a user, `uid 1234` for one without an account."""
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
