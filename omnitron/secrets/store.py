"""The interface of every secret store, and the rules for names and values."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Protocol

from omnitron.errors import OmnitronError, UsageError
from omnitron.names import MAX_LENGTH, NAME, why_not_a_name

PASSPHRASE_FILE = "OMNITRON_SECRETS_PASSPHRASE_FILE"
"""Variable that names the file with the passphrase of a sealed store."""
LONGEST_NAME = 120
LONGEST = 64 * 1024
"""Bytes: fits into an environment variable (128 KiB on Linux), with room for the name and text around it."""


class SecretStoreError(OmnitronError):
    """Secrets cannot be read or written."""


@dataclass(frozen=True)
class SecretInfo:
    """The name of a stored secret and the time of its last change, without its value."""

    name: str
    changed: float
    """Time of the last change, in unix seconds."""


class SecretStore(Protocol):
    """The secrets of one stack. The caller has checked the names; values are text."""

    def list(self) -> list[SecretInfo]:
        """Return all secrets, sorted by name."""

    def get(self, name: str) -> str | None:
        """Return a value, None when there is none; SecretStoreError when somebody changed the stored data."""

    def set(self, name: str, value: str) -> None:
        """Set a value atomically: after a crash the store has the old value or the new one."""

    def delete(self, name: str) -> bool:
        """Remove a value; return whether there was one."""


def check_name(name: str) -> str:
    """Return `name`, or raise UsageError when it is not a valid name."""
    if not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise UsageError(f"cannot name a secret {name!r}: it {why_not_a_name(name[:MAX_LENGTH]) or 'is too long'}")
    return name


def check_value(value: bytes) -> str:
    """Return a value as text, or raise UsageError when an environment variable cannot hold it."""
    if not value:
        raise UsageError(
            "cannot store an empty secret", hint="type it, or pipe it in: printf %s VALUE | omnitron secret set"
        )
    if len(value) > LONGEST:
        raise UsageError(f"cannot store a secret of {len(value)} bytes: the limit is {LONGEST} bytes")
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise UsageError(
            "cannot store a value that is not text: an environment variable cannot hold it",
            hint="encode it with base64",
        )
    return text


def random_value() -> str:
    """Return a new secret: 32 random bytes in hexadecimal, which needs no quoting in URLs and shells."""
    return os.urandom(32).hex()
