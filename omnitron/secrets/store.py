"""What every store of secrets does, whatever it encrypts with; and the rules for what it takes."""

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
"""Bytes: what fits into an environment variable, with room for what stands around it."""


class SecretStoreError(OmnitronError):
    """Secrets cannot be read or written."""


@dataclass(frozen=True)
class Kept:
    """A secret that is there, without its value."""

    name: str
    changed: float
    """When it was set last, in unix seconds."""


class SecretStore(Protocol):
    """The secrets of one stack. Names have been checked; values are text."""

    def list(self) -> list[Kept]:
        """Return what is there, by name."""

    def get(self, name: str) -> str | None:
        """Return a value, None when there is none; SecretStoreError for one that was tampered with."""

    def set(self, name: str, value: str) -> None:
        """Set a value in one step: after a kill there is the old one or the new one."""

    def delete(self, name: str) -> bool:
        """Remove a value; whether there was one."""


def check_name(name: str) -> str:
    """Return `name`, or raise UsageError when it cannot be one."""
    if not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise UsageError(f"cannot name a secret {name!r}: it {why_not_a_name(name[:MAX_LENGTH]) or 'is too long'}")
    return name


def check_value(value: bytes) -> str:
    """Return the text of a value, or raise UsageError when a process could not be given it."""
    if not value:
        raise UsageError(
            "cannot keep an empty secret", hint="type it, or pipe it in: printf %s VALUE | omnitron secret set"
        )
    if len(value) > LONGEST:
        raise UsageError(f"cannot keep a secret of {len(value)} bytes: the longest is {LONGEST}")
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise UsageError("cannot keep what is no text: an environment variable could not hold it", hint="use base64")
    return text


def random_value() -> str:
    """Return a new secret: 32 random bytes, in letters and digits that every URL and shell takes as they are."""
    return os.urandom(32).hex()
