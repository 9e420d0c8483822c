"""Files and processes of another user, which only root can have."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from omnitron.authority import trusted_folders
from omnitron.authority.trusted_folders import TrustedFolder
from tests.support.folders import open_up


@pytest.fixture
def nobody() -> pwd.struct_passwd:
    """An account that is not root, for tests that root alone can run."""
    if os.geteuid() != 0:
        pytest.skip("only root can make files of another user")
    return pwd.getpwnam("nobody")


@pytest.fixture
def as_nobody(tmp_path: Path) -> Iterator[None]:
    """Be another user than root during the test, and the owner of `tmp_path`."""
    if os.geteuid() != 0:
        yield
        return
    account = pwd.getpwnam("nobody")
    open_up(tmp_path)
    os.chown(tmp_path, account.pw_uid, account.pw_gid)
    os.setegid(account.pw_gid)
    os.seteuid(account.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@pytest.fixture(autouse=True)
def trusted_d(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for what root trusts, in which there is nothing yet."""
    folder = tmp_path_factory.mktemp("etc") / "trusted.d"
    monkeypatch.setattr(trusted_folders, "FOLDER", folder)
    return folder


@pytest.fixture
def trust(trusted_d: Path) -> Callable[[Path], None]:
    """Trust a folder's owner, as root does with `omnitron trust`."""

    def add(folder: Path) -> None:
        trusted_folders.add(TrustedFolder(folder.resolve(), folder.stat().st_uid, "root", 0))

    return add
