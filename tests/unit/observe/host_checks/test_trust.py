"""The doctor names who is as good as root, and where that has ended or should."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from pathlib import Path

from omnitron.observe.host_checks.subject import Subject
from omnitron.observe.host_checks.trust import check


def test_trust_is_named(
    tmp_path: Path, nobody: pwd.struct_passwd, trust: Callable[[Path], None], trusted_d: Path
) -> None:
    subject = Subject(is_user=False)
    assert list(check(subject)) == []
    for name, uid in (("a", nobody.pw_uid), ("b", nobody.pw_uid), ("c", 12345)):
        (tmp_path / name).mkdir()
        os.chown(tmp_path / name, uid, 0)
        trust(tmp_path / name)
    (tmp_path / "b").rmdir()
    states = {finding.message.split(" is trusted")[0]: finding.state for finding in check(subject)}
    assert states == {
        f"nobody is as good as root: {tmp_path}/a": "ok",
        f"{tmp_path}/b": "warn",
        f"{tmp_path}/c": "warn",
    }
    next(trusted_d.iterdir()).write_text("{")
    assert [finding.state for finding in check(subject)] == ["fail"]
