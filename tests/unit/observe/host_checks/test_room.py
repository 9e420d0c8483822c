"""File systems without room for records of crashes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from omnitron.observe.host_checks import room


@pytest.mark.parametrize(
    ("blocks", "files", "free", "lacking"),
    [(4096, 1000, 10, None), (0, 1000, 10, "space"), (4096, 1000, 0, "inodes"), (4096, 0, 0, None)],
    ids=["room", "full", "no inodes", "a file system that counts no inodes"],
)
def test_room(monkeypatch: pytest.MonkeyPatch, blocks: int, files: int, free: int, lacking: str | None) -> None:
    values = SimpleNamespace(f_bavail=blocks, f_frsize=4096, f_files=files, f_ffree=free)
    monkeypatch.setattr(room.os, "statvfs", lambda _: values)
    messages = [(finding.state, finding.message.partition(":")[0]) for finding in room.in_folder(Path("/run"))]
    assert messages == ([("fail", f"/run has no {lacking} left")] if lacking else [])


def test_a_folder_that_is_not_there() -> None:
    assert list(room.in_folder(Path("/run/never/made"))) == []
