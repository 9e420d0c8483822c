"""Changes of files, by the kernel's own word."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from omnitron.policy.model import WatchPolicy
from omnitron.watcher.watch import inotify
from omnitron.watcher.watch.inotify import Files
from omnitron.watcher.watch.patterns import Patterns

A, B = ("omnitron-dev", "a"), ("omnitron-dev", "b")
DEBOUNCE_MS = 60


def policy(folder: Path, *ignore: str, excepted: tuple[str, ...] = (), owner: int | None = None) -> WatchPolicy:
    return WatchPolicy((str(folder),), ignore, excepted, DEBOUNCE_MS, owner)


def heard(apps: dict[Any, WatchPolicy], act: Callable[[], Awaitable[None]]) -> list[tuple[Any, list[str]]]:
    """What was told while `act` ran, and a little longer."""

    async def run() -> list[tuple[Any, list[str]]]:
        told: list[tuple[Any, list[str]]] = []
        files = Files(lambda key, paths: told.append((key, paths)))
        files.watch(apps)
        await act()
        await asyncio.sleep(3 * DEBOUNCE_MS / 1000)
        files.close()
        return told

    return asyncio.run(run())


def test_a_burst_is_told_once(tmp_path: Path) -> None:
    async def act() -> None:
        for number in range(20):
            (tmp_path / f"m{number % 3}.py").write_text(str(number))
            await asyncio.sleep(DEBOUNCE_MS / 1000 / 4)

    ((key, paths),) = heard({A: policy(tmp_path)}, act)
    assert (key, sorted(paths)) == (A, [f"{tmp_path}/m{number}.py" for number in range(3)])


def test_a_folder_that_appears_is_watched_with_what_is_in_it(tmp_path: Path) -> None:
    async def act() -> None:
        (tmp_path / "new/deep").mkdir(parents=True)
        (tmp_path / "new/deep/a.py").write_text("1")
        await asyncio.sleep(3 * DEBOUNCE_MS / 1000)
        (tmp_path / "new/deep/a.py").write_text("2")

    told = heard({A: policy(tmp_path)}, act)
    assert [paths for _, paths in told] == [[f"{tmp_path}/new/deep/a.py"]] * 2


def test_every_way_to_change_a_file(tmp_path: Path) -> None:
    (tmp_path / "old.py").write_text("1")
    (tmp_path / "gone.py").write_text("1")
    (tmp_path / ".swap").write_text("1")

    async def act() -> None:
        (tmp_path / ".swap").replace(tmp_path / "moved-in.py")
        (tmp_path / "old.py").rename(tmp_path / ".old")
        (tmp_path / "gone.py").unlink()

    ((_, paths),) = heard({A: policy(tmp_path)}, act)
    assert {Path(path).name for path in paths} == {"moved-in.py", "old.py", "gone.py"}


def test_what_nobody_wants_is_not_told(tmp_path: Path) -> None:
    for name in ("node_modules", ".git", "data"):
        (tmp_path / name).mkdir()

    async def act() -> None:
        for name in ("node_modules/a.js", ".git/x.json", "data/x.json", "a.log", "a.pyc", ".hidden.py", "own.json"):
            (tmp_path / name).write_text("1")
        (tmp_path / "read.py").touch()
        (tmp_path / "read.py").read_text()

    told = heard({A: policy(tmp_path, "data/", "read.py", excepted=(f"{tmp_path}/own.json",))}, act)
    assert told == []


def test_two_apps_in_one_tree_hear_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()

    async def act() -> None:
        (tmp_path / "a.py").write_text("1")
        (tmp_path / "b/b.py").write_text("1")

    told = heard({A: policy(tmp_path, "b/"), B: policy(tmp_path / "b")}, act)
    assert sorted(told) == [(A, [f"{tmp_path}/a.py"]), (B, [f"{tmp_path}/b/b.py"])]


def test_a_tree_that_goes_takes_nothing_along(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a.py").write_text("1")

    async def act() -> None:
        shutil.rmtree(tmp_path / "sub")
        await asyncio.sleep(3 * DEBOUNCE_MS / 1000)
        (tmp_path / "b.py").write_text("1")

    told = heard({A: policy(tmp_path)}, act)
    assert [paths for _, paths in told] == [[f"{tmp_path}/sub/a.py"], [f"{tmp_path}/b.py"]]


def test_a_folder_that_is_moved_away_is_left_there(tmp_path: Path) -> None:
    tree, away = tmp_path / "tree", tmp_path / "away"
    (tree / "part/deep").mkdir(parents=True)

    async def act() -> None:
        (tree / "part").rename(away)
        await asyncio.sleep(2 * DEBOUNCE_MS / 1000)
        (away / "x.py").write_text("x")
        (away / "deep/y.py").write_text("y")

    assert heard({A: policy(tree)}, act) == [(A, [f"{tree}/part"])]


def test_a_folder_that_is_moved_inside_goes_on_being_watched(tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()

    async def act() -> None:
        (tmp_path / "part").rename(tmp_path / "new")
        await asyncio.sleep(2 * DEBOUNCE_MS / 1000)
        (tmp_path / "new/x.py").write_text("x")

    assert heard({A: policy(tmp_path)}, act)[-1] == (A, [f"{tmp_path}/new/x.py"])


def test_a_folder_that_is_made_again_at_once_is_watched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anybody has looked whether it is there."""
    monkeypatch.setattr(inotify, "AGAIN_S", 0.3)
    root = tmp_path / "src"
    root.mkdir()

    async def act() -> None:
        root.rmdir()
        root.mkdir()
        (root / "first.py").write_text("1")
        await asyncio.sleep(0.4 + 3 * DEBOUNCE_MS / 1000)
        (root / "second.py").write_text("2")

    told = heard({A: policy(root)}, act)
    assert [paths for _, paths in told] == [[f"{root}/first.py"], [f"{root}/second.py"]]


@pytest.mark.parametrize("how", ["removed", "moved", "missing"])
def test_a_folder_that_is_made_again_is_watched_again(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inotify, "AGAIN_S", 0.05)
    root = tmp_path / "src"
    if how != "missing":
        root.mkdir()

    async def act() -> None:
        await asyncio.sleep(0.15)
        if how == "removed":
            root.rmdir()
        elif how == "moved":
            root.rename(tmp_path / "old")
        await asyncio.sleep(0.15)
        (tmp_path / "new").mkdir()
        (tmp_path / "new/first.py").write_text("1")
        (tmp_path / "new").rename(root)
        await asyncio.sleep(0.15 + 3 * DEBOUNCE_MS / 1000)
        (root / "second.py").write_text("2")
        if how == "moved":
            (tmp_path / "old/third.py").write_text("3")

    told = heard({A: policy(root)}, act)
    assert [paths for _, paths in told] == [[f"{root}/first.py"], [f"{root}/second.py"]]


def test_a_pattern_that_cannot_be_read_is_its_apps_matter(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def act() -> None:
        (tmp_path / "x.py").write_text("1")

    ((key, _),) = heard({A: policy(tmp_path, "[z-a]"), B: policy(tmp_path)}, act)
    assert key == B
    assert "cannot watch the files of a of omnitron-dev: watch.ignore: " in caplog.text


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/link").symlink_to(tmp_path / "outside")

    async def act() -> None:
        (tmp_path / "outside/a.py").write_text("1")

    assert heard({A: policy(tmp_path / "tree")}, act) == []


def test_a_limit_is_said_with_its_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(inotify.INotify, "add_watch", refuse)
    caplog.set_level(logging.ERROR)

    async def act() -> None: ...

    (tmp_path / "sub").mkdir()
    heard({A: policy(tmp_path)}, act)
    (said,) = [record.getMessage() for record in caplog.records]
    assert said == (
        f"cannot watch {tmp_path}: too many folders; raise the limit: sysctl fs.inotify.max_user_watches=524288"
    )


@pytest.mark.parametrize(
    ("path", "is_folder", "wanted"),
    [
        ("/p/a.py", False, True),
        ("/p/sub/a.ts", False, True),
        ("/p/.env", False, True),
        ("/p/.env.local", False, False),
        ("/p/README.md", False, False),
        ("/p/sub", True, True),
        ("/p/dist", True, False),
        ("/p/x/__pycache__", True, False),
        ("/p/keep/.well-known", True, True),
        ("/p/gen/a.py", False, False),
        ("/p/gen/hand.py", False, True),
        ("/elsewhere/a.py", False, False),
    ],
)
def test_patterns(path: str, is_folder: bool, wanted: bool) -> None:
    patterns = Patterns(policy(Path("/p"), "gen/*", "!gen/hand.py", "!.well-known"))
    assert patterns.wants(path, is_folder=is_folder) is wanted


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_the_folders_of_others_are_not_watched_for_somebody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Through a link, or inside his own: what changes in a folder that is not his he does not learn."""
    for name in ("his", "his/deep", "his/others", "others", "others/inner-others"):
        (tmp_path / name).mkdir()
        os.chown(tmp_path / name, 0 if name.endswith("others") else 1234, -1)
    (tmp_path / "link").symlink_to(tmp_path / "others")

    async def act() -> None:
        for name in ("his/a.py", "his/deep/b.py", "his/others/c.py", "others/inner-others/d.py"):
            (tmp_path / name).write_text("1")
        (tmp_path / "his/new").mkdir(exist_ok=True)  # root's, this one
        await asyncio.sleep(2 * DEBOUNCE_MS / 1000)
        (tmp_path / "his/new/e.py").write_text("1")

    told = heard({A: policy(tmp_path / "his", owner=1234), B: policy(tmp_path / "link/inner-others", owner=1234)}, act)
    assert {(key, path) for key, paths in told for path in paths} == {
        (A, f"{tmp_path}/his/a.py"),
        (A, f"{tmp_path}/his/deep/b.py"),
    }
    assert (
        f"cannot watch {tmp_path}/link/inner-others: it does not belong to the owner of the definition" in caplog.text
    )
    assert "his/others" not in caplog.text
    told = heard({A: policy(tmp_path / "his")}, act)
    assert f"{tmp_path}/his/others/c.py" in {path for _, paths in told for path in paths}
