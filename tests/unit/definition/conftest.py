"""Files and processes of another user, which only root can have."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import pytest

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
