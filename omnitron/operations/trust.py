"""Trust: the folders whose owners' word root takes."""

from __future__ import annotations

import os
import time
from pathlib import Path

from omnitron.authority import trusted_folders
from omnitron.authority.trusted_folders import TrustedFolder
from omnitron.definition.project import Ecosystem
from omnitron.errors import NotPermittedError, UsageError
from omnitron.operations.audit import caller, record


def prepare_trust(folder: Path) -> TrustedFolder:
    """Return what would be recorded for a folder; raises UsageError where it cannot be trusted."""
    _check_root()
    real = folder.resolve()
    uid = trusted_folders.checked_owner(real)
    if uid == 0:
        raise UsageError(f"cannot trust {real}: it is root's, whose word needs no trust")
    return TrustedFolder(real, uid, caller(), time.time())


def trust(folder: TrustedFolder) -> None:
    """Record that a folder is trusted, and say so in the journal."""
    _check_root()
    trusted_folders.add(folder)
    record(f"trust {folder.path}: whoever can write there, {folder.owner} first, is as good as root")


def distrust(folder: Path) -> Path:
    """Trust a folder no longer; return it, with its links resolved. Raises UsageError for one that is not trusted."""
    _check_root()
    real = folder.resolve()
    trusted_folders.remove(real)
    record(f"trust {real} no longer")
    return real


def trusted() -> list[TrustedFolder]:
    """Return the trusted folders, by path."""
    return trusted_folders.read_all()


def trusted_for(ecosystem: Ecosystem) -> list[TrustedFolder]:
    """Return the trusted folders on which root's use of a definition rests; none for root's own."""
    sources = [ecosystem.source, *(app.system_source for app in ecosystem.apps)]
    sources += [app.needs_source for app in ecosystem.apps]
    paths = {source.path.resolve() for source in sources if source and source.owner != 0}
    folders = {trusted_folders.covering(path) for path in paths}
    return sorted((folder for folder in folders if folder), key=lambda folder: folder.path)


def _check_root() -> None:
    if os.geteuid() != 0:
        raise NotPermittedError("cannot change whom root trusts: only root can", hint="sudo omnitron trust …")
