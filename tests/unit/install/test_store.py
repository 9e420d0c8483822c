"""A change is all or nothing: killed, failing or out of space at any step, alone or beside another."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from omnitron.errors import OmnitronError
from omnitron.install import store as store_module
from omnitron.install.installer import commit, prepare, remove
from omnitron.install.manifest import Manifest
from omnitron.install.store import STAGED, ForeignPathError, Transaction
from omnitron.planner.plan import Plan
from tests.support.build import planned, shop
from tests.support.install import AFTER, BEFORE, Host, Make

STEPS = {"open", "close", "write", "fsync", "replace", "unlink", "mkdir", "flock"}
"""Calls that change what is on disk, or are near one that does (`syncfs` is not seen, its `close` is)."""


@contextmanager
def at_step(number: int, act: Callable[[], None], steps: set[str] = STEPS) -> Iterator[list[str]]:
    """Call `act` just before the given call into the operating system that the store makes; yield those made."""
    made: list[str] = []

    def watch(frame: Any, event: str, function: Any) -> None:
        if event == "c_call" and function.__name__ in steps and from_store(frame):
            made.append(function.__name__)
            if len(made) == number:
                act()

    def from_store(frame: Any) -> bool:
        # The store itself, or the standard library on its behalf.
        return any(
            f.f_code.co_filename == store_module.__file__ for f in (frame, frame.f_back, frame.f_back.f_back) if f
        )

    sys.setprofile(watch)
    try:
        yield made
    finally:
        sys.setprofile(None)


def in_child(work: Callable[[], None]) -> int:
    """Do `work` in a forked process and return its exit status, negative for a signal."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    return os.waitstatus_to_exitcode(status)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def leftovers(host: Host) -> list[str]:
    return [name for name in host.files() if STAGED in name or "journal-new" in name or name.endswith(".journal")]


@pytest.fixture
def states(host: Host, plan: Make, tmp_path: Path) -> tuple[Path, Plan, dict[str, str], dict[str, str]]:
    """A tree before the change, the plan of the change, and all files before and after it."""
    host.install(plan(BEFORE))
    before = host.files()
    shutil.copytree(host.root, tmp_path / "before")
    after = plan(AFTER)
    host.install(after)
    return tmp_path / "before", after, before, host.files()


def reset(host: Host, tree: Path) -> None:
    shutil.rmtree(host.root)
    shutil.copytree(tree, host.root)
    host.reloads.clear()


def same(files: dict[str, str], others: dict[str, str]) -> bool:
    """Whether two trees are the same but for the times in their manifests."""
    units = [{name: text for name, text in each.items() if ".installed/" not in name} for each in (files, others)]
    return units[0] == units[1] and files.keys() == others.keys()


@pytest.mark.parametrize("first", [False, True], ids=["a change", "the first install"])
def test_killed_at_any_step_the_next_run_finishes_or_undoes_it(
    host: Host, states: tuple[Path, Plan, dict[str, str], dict[str, str]], tmp_path: Path, first: bool
) -> None:
    tree, plan, before, after = states
    if first:
        (tmp_path / "empty").mkdir()
        tree, before = tmp_path / "empty", {}
    outcomes = []
    for number in range(1, 1000):
        reset(host, tree)

        def work(number: int = number) -> None:
            with at_step(number, die):
                host.install(plan)

        status = in_child(work)
        if status == 0:
            break
        assert status == -signal.SIGKILL, number
        committed = host.store.is_interrupted()
        torn = not same(host.files(), before) and not same(host.files(), after)
        with host.store.locked(host.reload):
            files = host.files()
        assert not leftovers(host), number
        # A journal that is there is finished and read once; without one, nothing was begun that matters.
        assert len(host.reloads) == int(committed), number
        assert same(files, after if committed or same(files, after) else before), number
        outcomes.append((committed, torn, same(files, after)))
    assert len(outcomes) > 40
    assert {(True, True, True), (False, False, False) if before else (False, True, False)} <= set(outcomes)
    assert [done for _, _, done in outcomes] == sorted(done for _, _, done in outcomes)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_an_error_at_any_step_is_undone_at_once_or_finished_by_the_next_run(
    host: Host, states: tuple[Path, Plan, dict[str, str], dict[str, str]], error: BaseException
) -> None:
    tree, plan, before, after = states
    outcomes = []
    for number in range(1, 1000):
        reset(host, tree)

        def fail() -> None:
            raise error

        said = ""
        try:
            # A descriptor that cannot be closed is closed all the same; one that is not would lock us out here.
            with at_step(number, fail, STEPS - {"close"}) as made:
                host.install(plan)
        except (OmnitronError, KeyboardInterrupt, OSError) as caught:
            said = str(caught)
        if len(made) < number:
            break
        interrupted = host.store.is_interrupted()
        assert interrupted or not leftovers(host) or made[-1] == "unlink", number
        assert not ("nothing was changed" in said and interrupted), f"{number}: {said}, and yet it will be"
        with host.store.locked(host.reload):
            assert not leftovers(host), number
        assert same(host.files(), before) or same(host.files(), after), number
        outcomes.append("finished" if interrupted else "undone" if same(host.files(), before) else "done")
    assert len(outcomes) > 40
    assert outcomes.count("undone") > 20 and outcomes.count("finished") > 5


def test_a_reload_that_fails_is_made_up_for(host: Host, plan: Make) -> None:
    """Until then the change counts as not finished: systemd has not read it."""

    def unreachable() -> None:
        raise OmnitronError("cannot reach systemd")

    ready = plan(BEFORE)
    with pytest.raises(OmnitronError, match="cannot reach systemd"), host.store.locked(host.reload):
        commit(prepare(ready, host.store.scope, frozenset()), host.store, unreachable)
    assert host.store.is_interrupted()
    assert host.reloads == []
    with host.store.locked(host.reload):
        assert len(host.reloads) == 1
    assert not host.store.is_interrupted()
    host.install(ready)
    assert len(host.reloads) == 1


def test_an_error_of_the_reload_is_not_one_of_writing(host: Host, plan: Make) -> None:
    def refused() -> None:
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")

    with pytest.raises(ConnectionRefusedError), host.store.locked(host.reload):
        commit(prepare(plan(BEFORE), host.store.scope, frozenset()), host.store, refused)


def test_two_at_once_are_one_after_the_other(host: Host, plan: Make) -> None:
    """And what is there in the end is one of the two, whole, as its manifest says."""
    host.install(plan(BEFORE))
    plans = [plan(AFTER), plan(shop({"name": "changes"}, {"name": "goes"}))]
    ends = []
    for each in plans:
        host.install(each)
        ends.append(host.files())
    for _ in range(5):
        children = [os.fork() or work_forever(host, each) for each in plans]
        for pid in children:
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        files = host.files()
        assert same(files, ends[0]) or same(files, ends[1])
        assert not leftovers(host)
        manifest = host.store.manifest("omnitron-dev")
        assert manifest
        known = {str(Path(name).relative_to(host.root)) for name in manifest.files}
        assert known == {name for name in files if ".installed" not in name}


def work_forever(host: Host, plan: Plan) -> int:
    """In a child: install the same plan a few times, then end."""
    try:
        for _ in range(4):
            host.install(plan)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def test_the_lock_keeps_others_out(host: Host, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ready")
    pid = os.fork()
    if pid == 0:
        (tmp_path / "ready").read_text()
        with host.store.locked(host.reload, (host.root / "waits").touch):
            (host.root / "second").touch()
        os._exit(0)
    with host.store.locked(host.reload, (host.root / "first waits").touch):
        (tmp_path / "ready").write_text("")
        deadline = time.monotonic() + 20
        while not (host.root / "waits").exists():
            assert os.waitpid(pid, os.WNOHANG) == (0, 0) and time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(0.1)
        assert os.waitpid(pid, os.WNOHANG) == (0, 0)
        assert not (host.root / "first waits").exists()
        # Any user who could open it could keep root from generating.
        assert stat.S_IMODE((host.store.scope.state / "lock").stat().st_mode) == 0o600
        assert not (host.root / "second").exists()
    assert os.waitpid(pid, 0)[1] == 0
    assert (host.root / "second").exists()


def test_what_was_staged_by_a_killed_run_is_swept_away_everywhere(host: Host, plan: Make) -> None:
    host.install(plan(BEFORE))
    before = host.files()
    for path in [*host.root.rglob("*"), host.root / "etc"]:
        if path.is_dir() and any(child.is_file() for child in path.iterdir()):
            (path / f"{STAGED}x").write_text("half")
    (host.store.scope.state / "omnitron-dev.journal-new").write_text("{")
    host.install(plan(BEFORE))
    assert host.files() == before
    assert len(host.reloads) == 1


@pytest.fixture
def small(host: Host) -> Iterator[Callable[..., None]]:
    """Mounts a file system of a few kilobytes, or one that cannot be written, on the host's root."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount")

    def mount(*options: str) -> None:
        command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(host.root)]
        if subprocess.run(command, capture_output=True).returncode:
            pytest.skip("mounting is not permitted here")
        mounted.append(host.root)

    mounted: list[Path] = []
    yield mount
    for root in reversed(mounted):
        subprocess.run(["umount", str(root)], check=True)


def test_a_full_disk_changes_nothing(host: Host, plan: Make, small: Callable[..., None]) -> None:
    small("size=60k")
    host.install(plan(shop({"name": "a"})))
    before = host.files()
    for count in range(2, 40):
        ready = plan(shop({"name": "a"}, *({"name": f"b{i}"} for i in range(count))))
        try:
            host.install(ready)
        except OmnitronError as error:
            assert str(error).startswith(f"cannot write {host.root}/")
            assert str(error).endswith(": no space left on device; nothing was changed")
            assert host.files() == before
            break
        before = host.files()
    else:
        raise AssertionError("the disk was never full")
    host.install(plan(shop({"name": "a"})))
    assert not leftovers(host)


def test_a_file_system_that_cannot_be_written_is_named(host: Host, plan: Make, small: Callable[..., None]) -> None:
    small("size=200k")
    host.install(plan(BEFORE))
    before = host.files()
    subprocess.run(["mount", "-o", "remount,ro", str(host.root)], check=True)
    with pytest.raises(OmnitronError, match=r"cannot write .*: read-only file system; nothing was changed"):
        host.install(plan(AFTER))
    assert host.files() == before


def test_a_lock_that_is_a_link_is_not_followed(host: Host, plan: Make, tmp_path: Path) -> None:
    state = host.store.scope.state
    state.mkdir(parents=True)
    (state / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OmnitronError, match="cannot write"):
        host.install(plan(BEFORE))
    assert not (tmp_path / "elsewhere").exists()


def test_a_transaction_of_nothing_but_removals(host: Host) -> None:
    path = host.store.scope.units / "x.service"
    path.parent.mkdir(parents=True)
    path.write_text("")
    manifest = Manifest("shop", "/s", "omnitron", "dev")
    with host.store.locked(host.reload):
        host.store.apply("omnitron-dev", Transaction({}, (path,), manifest), host.reload)
    assert host.files() == {}
    assert len(host.reloads) == 1


def test_a_tree_that_is_copied_is_a_tree_of_its_own(host: Host, plan: Make, tmp_path: Path) -> None:
    """It names no path of where it was made, so that it can be deployed to any root."""
    host.install(plan(BEFORE))
    copy = Host(tmp_path / "copy")
    shutil.copytree(host.root, copy.root)
    before = host.files()
    copy.install(plan(AFTER))
    assert host.files() == before
    texts = [text for name, text in copy.files().items() if name.endswith(".json") and ".installed" in name]
    assert texts and not any(str(host.root) in text or str(copy.root) in text for text in texts)
    with copy.store.locked(copy.reload):
        remove(copy.store, "omnitron-dev", copy.reload)
    assert copy.files() == {}


@pytest.mark.parametrize(
    "name", ["/victim", "/etc/systemd/system/../../victim", "/etc/passwd", "/etc/systemd/victim/x"]
)
@pytest.mark.parametrize("where", ["manifest", "removes", "renames"])
def test_what_no_file_of_ours_can_be_is_left_alone(host: Host, plan: Make, name: str, where: str) -> None:
    """A tree may have been prepared by somebody else."""
    host.install(plan(BEFORE))
    state = host.store.scope.state
    victim = host.root / name.lstrip("/")
    victim.parent.mkdir(parents=True, exist_ok=True)
    victim.write_text("precious")
    if where == "manifest":
        told = json.loads((state / "omnitron-dev.json").read_text())
        told["files"][name] = {"digest": "x"}
        (state / "omnitron-dev.json").write_text(json.dumps(told))
    else:
        (host.root / "etc/systemd/system/evil").write_text("evil")
        pair = [["/etc/systemd/system/evil", name]] if where == "renames" else []
        (state / "a.journal").write_text(json.dumps({"renames": pair, "removes": [name] if not pair else []}))
    with pytest.raises(ForeignPathError, match="but omnitron has no files there"):
        host.install(plan(AFTER))
    assert victim.read_text() == "precious"


def test_projects_beside_each_other_are_recovered_together(host: Host, plan: Make, tmp_path: Path) -> None:
    """Whoever comes next finishes what another project's run had begun."""
    other = planned(tmp_path / "other", BEFORE | {"unitPrefix": "other"})

    def work() -> None:
        host.reloads.append(1)
        with host.store.locked(host.reload):
            commit(prepare(other, host.store.scope, frozenset()), host.store, die)

    assert in_child(work) == -signal.SIGKILL
    assert host.store.is_interrupted()
    host.install(plan(BEFORE))
    assert len(host.reloads) == 2
    assert [manifest for manifest in ("omnitron-dev", "other-dev") if host.store.manifest(manifest)]
    assert not host.store.is_interrupted()
