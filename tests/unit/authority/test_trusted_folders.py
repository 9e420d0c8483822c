"""What root trusts is kept in files of root's, and holds for the owner that a folder had."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Callable
from pathlib import Path

import pytest

from omnitron.authority import trusted_folders
from omnitron.authority.trusted_folders import TrustedFolder
from omnitron.errors import OmnitronError, UsageError

Trust = Callable[[Path], None]


@pytest.fixture
def folder(tmp_path: Path, nobody: pwd.struct_passwd) -> Path:
    path = tmp_path / "shop"
    path.mkdir()
    os.chown(path, nobody.pw_uid, nobody.pw_gid)
    return path


def test_a_trusted_folder_is_a_file_that_all_can_read(folder: Path, trust: Trust, trusted_d: Path) -> None:
    assert trusted_folders.read_all() == []
    trust(folder)
    trust(folder)
    (file,) = trusted_d.iterdir()
    assert file.name.startswith("shop-") and file.stat().st_mode & 0o777 == 0o644
    assert json.loads(file.read_text()) == {"path": str(folder), "uid": 65534, "by": "root", "at": 0}
    assert trusted_folders.read_all() == [TrustedFolder(folder, 65534, "root", 0)]


def test_the_innermost_covers_and_one_that_has_changed_hands_does_not(folder: Path, trust: Trust) -> None:
    inner = folder / "inner"
    inner.mkdir()
    os.chown(inner, 12345, 0)
    for each in (folder, inner):
        trust(each)

    def owner(path: Path) -> int | None:
        found = trusted_folders.covering(path)
        return found.uid if found else None

    assert (owner(inner / "x"), owner(folder / "x"), owner(folder.parent)) == (12345, 65534, None)
    assert owner(folder.with_name("shopping")) is None
    os.chown(inner, 65534, 0)
    assert owner(inner / "x") == 65534
    inner.rmdir()
    inner.symlink_to("/")
    assert [item.path for item in trusted_folders.read_all() if not item.is_current()] == [inner]


def test_it_is_taken_back(folder: Path, trust: Trust) -> None:
    trust(folder)
    trusted_folders.remove(folder)
    assert trusted_folders.read_all() == []
    with pytest.raises(UsageError, match="is not trusted"):
        trusted_folders.remove(folder)


def test_what_can_be_trusted(folder: Path, tmp_path: Path) -> None:
    assert trusted_folders.checked_owner(folder) == 65534
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="it is no folder"):
        trusted_folders.checked_owner(tmp_path / "file")
    folder.chmod(0o775)
    with pytest.raises(UsageError, match=r"others than its owner may write there \(mode 0775\)"):
        trusted_folders.checked_owner(folder)
    folder.chmod(0o755)
    os.chown(tmp_path, 12345, 0)
    with pytest.raises(UsageError, match=f"{tmp_path} belongs to uid 12345, who could put another there"):
        trusted_folders.checked_owner(folder)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "1",
        "{}",
        '{"path": "x", "uid": 1, "by": "root", "at": 0}',
        '{"path": "/x", "uid": "1", "by": "root", "at": 0}',
        '{"path": "/x", "uid": true, "by": "root", "at": 0}',
        '{"path": "/x", "uid": 1, "by": 2, "at": 0}',
        '{"path": "/x", "uid": 1, "by": "root", "at": false}',
        "[" * 20_000,
    ],
)
def test_a_damaged_file_trusts_nobody(folder: Path, trust: Trust, trusted_d: Path, text: str) -> None:
    trust(folder)
    (file,) = trusted_d.iterdir()
    file.write_text(text)
    with pytest.raises(OmnitronError, match=f"cannot read {file}: it is damaged") as caught:
        trusted_folders.covering(folder)
    assert caught.value.hint == f"rm {file}, then omnitron trust the folder again"


def test_nor_does_one_that_others_could_have_written(folder: Path, trust: Trust, trusted_d: Path) -> None:
    trust(folder)
    (file,) = trusted_d.iterdir()
    for spoil in (lambda: file.chmod(0o666), lambda: os.chown(file, 65534, 0)):
        spoil()
        with pytest.raises(OmnitronError, match="others than root may have written it"):
            trusted_folders.covering(folder)
        file.chmod(0o644)
    file.unlink()
    file.symlink_to("/etc/passwd")
    with pytest.raises(OmnitronError, match=f"cannot read {file}"):
        trusted_folders.covering(folder)


def test_what_cannot_be_recorded_changes_nothing(
    folder: Path, trust: Trust, trusted_d: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust(folder)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OmnitronError, match=f"cannot record that {folder} is trusted, in {trusted_d}: no space left"):
        trust(folder)
    assert len(list(trusted_d.iterdir())) == len(trusted_folders.read_all()) == 1
