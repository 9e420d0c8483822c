"""Each act of an operator is a line in the journal: who, what, and whose definition."""

from __future__ import annotations

import os
import syslog
from dataclasses import replace
from pathlib import Path

import pytest

from omnitron.operations import audit
from omnitron.policy.model import Selection, StackPolicy
from tests.support.policies import policy


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(syslog, "syslog", lambda _, message: lines.append(message))
    monkeypatch.setattr(audit, "LOGIN_UID", tmp_path / "loginuid")
    monkeypatch.setenv("SUDO_USER", "carol")
    return lines


def test_who_logged_in_comes_before_sudo(tmp_path: Path, journal: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert audit.caller() == "carol"
    (tmp_path / "loginuid").write_text("65534")
    assert audit.caller() == "nobody"
    (tmp_path / "loginuid").write_text(str(audit.NO_LOGIN))
    assert audit.caller() == "carol"
    monkeypatch.delenv("SUDO_USER")
    assert audit.caller() == audit.name_of(os.getuid())


def test_a_line_says_what_and_whose(tmp_path: Path, journal: list[str]) -> None:
    source = tmp_path / "shop.yaml"
    source.touch()
    stack: StackPolicy = replace(policy(tmp_path / "p", {"name": "a"}, {"name": "b"}), source=source)
    me = f"carol (uid {os.getuid()})"
    audit.record_act("up", stack)
    audit.record_selection("stop", [Selection(stack, app, None, None) for app in stack.apps])
    source.unlink()
    audit.record_act("down", stack)
    audit.record("two\nlines \x1b[m")
    owner = audit.name_of(os.getuid())
    apps = ", ".join(f"{stack.stack}/{app.name}" for app in stack.apps)
    assert journal == [
        f"{me}: up {stack.target}, defined by {source} of {owner}",
        f"{me}: stop {apps}, defined by {source} of {owner}",
        f"{me}: down {stack.target}, defined by {source}, which is away",
        f"{me}: two lines \\x1b[m",
    ]
