"""Whom root trusts is for root to say, is told in the journal, and rests on the files of a definition."""

from __future__ import annotations

import os
import pwd
import syslog
from pathlib import Path

import pytest

from omnitron.definition.loader import load
from omnitron.errors import NotPermittedError, UsageError
from omnitron.operations import audit, trust
from tests.support.build import shop, write


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(syslog, "syslog", lambda _, message: lines.append(message))
    monkeypatch.setenv("SUDO_USER", "carol")
    monkeypatch.setattr(audit, "LOGIN_UID", Path("/nowhere"))
    return lines


def test_a_folder_is_trusted_and_no_longer(tmp_path: Path, nobody: pwd.struct_passwd, journal: list[str]) -> None:
    path = write(tmp_path / "shop", shop({"name": "a", "command": ["x"]}))
    for each in (path, path.parent):
        os.chown(each, nobody.pw_uid, nobody.pw_gid)
    (tmp_path / "link").symlink_to("shop")
    wanted = trust.prepare_trust(tmp_path / "link")
    assert (wanted.path, wanted.owner, wanted.by) == (tmp_path / "shop", "nobody", "carol")
    assert trust.trusted() == []
    trust.trust(wanted)
    assert trust.trusted() == trust.trusted_for(load(path)) == [wanted]
    assert trust.distrust(tmp_path / "link") == tmp_path / "shop"
    assert trust.trusted() == []
    assert journal == [
        f"carol (uid 0): trust {tmp_path}/shop: whoever can write there, nobody first, is as good as root",
        f"carol (uid 0): trust {tmp_path}/shop no longer",
    ]


def test_roots_own_definition_rests_on_no_trust(tmp_path: Path, nobody: pwd.struct_passwd) -> None:
    assert trust.trusted_for(load(write(tmp_path, shop({"name": "a", "command": ["x"]})))) == []
    with pytest.raises(UsageError, match="it is root's, whose word needs no trust"):
        trust.prepare_trust(tmp_path)


def test_another_user_cannot_say_whom_root_trusts(tmp_path: Path, as_nobody: None) -> None:
    for act in (trust.prepare_trust, trust.distrust):
        with pytest.raises(NotPermittedError, match="only root can"):
            act(tmp_path)
