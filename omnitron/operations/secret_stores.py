"""The store of secrets that a scope uses."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from omnitron.install.scope import Scope

if TYPE_CHECKING:
    from omnitron.secrets.store import SecretStore


def open_store(scope: Scope, stem: str, project: str) -> SecretStore:
    """Return the secrets of a stack of a project: `stem` is `omnitron-dev`."""
    # Each pulls in what the other scope does without: cryptography, or systemd-creds.
    if scope.name == "user":
        from omnitron.secrets.sealed_store import SealedStore

        return SealedStore(scope.secrets / f"{stem}.sealed", passphrase_file())
    from omnitron.secrets.credential_store import CredentialStore

    return CredentialStore(scope.secrets / stem, project)


def passphrase_file() -> Path | None:
    """Return the file with the passphrase of sealed secrets, where the environment names one."""
    from omnitron.secrets.store import PASSPHRASE_FILE

    path = os.environ.get(PASSPHRASE_FILE)
    return Path(path).absolute() if path else None
