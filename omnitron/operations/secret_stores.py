"""The store of a stack's secrets: systemd's own for the system, a sealed file for a user."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omnitron.install.scope import Scope
    from omnitron.secrets.store import SecretStore


def passphrase_file() -> Path | None:
    """Return the file with the passphrase of sealed secrets, where the environment names one."""
    from omnitron.secrets.store import PASSPHRASE_FILE

    path = os.environ.get(PASSPHRASE_FILE)
    return Path(path).absolute() if path else None


def secret_store(scope: Scope, stem: str, project: str) -> SecretStore:
    """Return the secrets of a stack of a project: `stem` is `omnitron-dev`."""
    if scope.name == "user":
        from omnitron.secrets.sealed_store import SealedStore

        return SealedStore(scope.secrets / f"{stem}.sealed", passphrase_file())
    from omnitron.secrets.credential_store import CredentialStore

    return CredentialStore(scope.secrets / stem, project)
