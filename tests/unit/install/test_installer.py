"""Installing plans one after the other, next to what operators and other projects have there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from omnitron.errors import NotPermittedError
from omnitron.install.installer import manifests, prepare, remove
from omnitron.install.ownership import ForeignFileError
from omnitron.install.store import SymlinkError
from tests.support.build import planned, shop
from tests.support.install import AFTER, BEFORE, Host, Make

UNITS = "etc/systemd/system"


def test_a_definition_is_installed_and_changed(host: Host, plan: Make) -> None:
    (prepared,) = host.install(plan(BEFORE))
    assert {change.reason for change in prepared.difference.changes} == {"new"}
    (prepared,) = host.install(plan(AFTER))
    assert {change.unit: (change.kind, change.reason) for change in prepared.difference.changes} == {
        "omnitron-dev.target": ("change", "Wants changed"),
        "omnitron-dev-changes-main.service": ("change", "Environment changed"),
        "omnitron-dev-comes-main@.service": ("create", "new"),
        "omnitron-dev-goes-main.service": ("remove", "no longer in the definition"),
        "omnitron-dev.json": ("change", "the content changed"),
        "omnitron.conf": ("change", "the content changed"),
    }
    assert list(host.files()) == [
        "etc/dbus-1/system.d/dev.omnitron.Watcher1.conf",
        "etc/omnitron/omnitron-dev.json",
        "etc/systemd/journald@omnitron-dev.conf.d/omnitron.conf",
        f"{UNITS}/omnitron-dev-changes-main.service",
        f"{UNITS}/omnitron-dev-comes-main@.service",
        f"{UNITS}/omnitron-dev-stays-main.service",
        f"{UNITS}/omnitron-dev.slice",
        f"{UNITS}/omnitron-dev.target",
        f"{UNITS}/omnitron-watcher.service",
        "etc/sysusers.d/omnitron.conf",
        "var/lib/omnitron/.installed/omnitron-dev.json",
    ]
    assert len(host.reloads) == 2


def written(host: Host) -> dict[Path, tuple[int, ...]]:
    """What changes with each write, and with no look."""
    found = {path: path.stat() for path in host.root.rglob("*") if path.name != "lock"}
    return {path: (it.st_ino, it.st_mode, it.st_size, it.st_mtime_ns, it.st_ctime_ns) for path, it in found.items()}


def test_nothing_changed_is_nothing_written(host: Host, plan: Make) -> None:
    host.install(plan(BEFORE))
    before = written(host)
    host.reloads.clear()
    (prepared,) = host.install(plan(BEFORE))
    assert prepared.difference.is_empty and not prepared.difference.changes
    assert written(host) == before
    assert host.reloads == []


def test_the_watcher_stays_until_the_last_stack_goes(host: Host, plan: Make) -> None:
    stacks = {name: {"type": "local"} for name in ("dev", "test")}
    host.install(plan(shop({"name": "a"}, stacks=stacks)))
    unit = f"{UNITS}/omnitron-watcher.service"
    with host.store.locked(host.reload):
        remove(host.store, "omnitron-dev", host.reload)
        assert unit in host.files()
        remove(host.store, "omnitron-test", host.reload)
    assert list(host.files()) == []


def test_no_empty_folder_of_a_stack_is_left(host: Host, plan: Make) -> None:
    host.install(plan(shop({"name": "a"}, gateway={"port": 8000})))
    assert (host.root / "etc/omnitron/omnitron-dev.gateway/nginx.conf").exists()
    with host.store.locked(host.reload):
        remove(host.store, "omnitron-dev", host.reload)
    assert [path.name for path in (host.root / "etc/omnitron").iterdir()] == []


def test_what_an_administrator_put_in_place_of_a_shared_file_stays(host: Host, plan: Make) -> None:
    stacks = {name: {"type": "local"} for name in ("dev", "test")}
    host.install(plan(shop({"name": "a"}, stacks=stacks)))
    own = host.root / "etc/dbus-1/system.d/dev.omnitron.Watcher1.conf"
    with host.store.locked(host.reload):
        remove(host.store, "omnitron-dev", host.reload)
        own.write_text("<busconfig/>")
        masked = host.root / UNITS / "omnitron-watcher.service"
        masked.unlink()
        masked.symlink_to("/dev/null")
        remove(host.store, "omnitron-test", host.reload)
    assert own.exists() and masked.is_symlink()


def test_the_watcher_is_written_once_for_all_projects(host: Host, tmp_path: Path) -> None:
    for name in ("one", "two"):
        host.install(planned(tmp_path / name, shop({"name": "a"}) | {"project": name, "unitPrefix": name}))
    (first, *_) = host.install(planned(tmp_path / "one", shop({"name": "a"}) | {"project": "one", "unitPrefix": "one"}))
    assert first.difference.is_empty


def test_a_removed_unit_that_runs_is_kept_until_it_stops(host: Host, plan: Make) -> None:
    host.install(plan(BEFORE))
    name = "omnitron-dev-goes-main.service"
    for _ in range(2):
        host.install(plan(AFTER), running=frozenset({name}))
        assert f"{UNITS}/{name}" in host.files()
    assert len(host.reloads) == 2
    host.install(plan(AFTER))
    assert f"{UNITS}/{name}" not in host.files()


def test_a_stack_that_is_gone_or_elsewhere_is_removed_with_its_manifest(host: Host, plan: Make) -> None:
    stacks = {name: {"type": "local"} for name in ("dev", "test", "prod")}
    host.install(plan(shop({"name": "a"}, stacks=stacks)))
    stacks["prod"] = {"type": "remote", "nodes": [{"host": "h", "role": "app"}]}  # type: ignore[dict-item]
    del stacks["test"]
    host.install(plan(shop({"name": "a"}, stacks=stacks)))
    assert [manifest.stack for manifest in manifests(host.store.scope)] == ["dev"]
    assert not any("test" in name or "prod" in name for name in host.files())


def test_a_new_prefix_leaves_nothing_of_the_old_one(host: Host, plan: Make) -> None:
    host.install(plan(BEFORE))
    host.install(plan(BEFORE | {"unitPrefix": "acme"}), running=frozenset({"omnitron-dev-goes-main.service"}))
    assert f"{UNITS}/acme-dev.target" in host.files()
    left = [name for name in host.files() if name.startswith(UNITS) and "omnitron-dev" in name]
    assert left == [f"{UNITS}/omnitron-dev-goes-main.service"]
    host.install(plan(BEFORE | {"unitPrefix": "acme"}))
    assert [manifest.prefix for manifest in manifests(host.store.scope)] == ["acme"]


def test_what_operators_and_others_have_is_left_alone(host: Host, plan: Make, tmp_path: Path) -> None:
    other = {"unitPrefix": "omnitron2"}
    host.install(planned(tmp_path / "other", BEFORE | other))
    host.install(plan(BEFORE))
    units = host.root / UNITS
    theirs = {
        units / "omnitron-dev-goes-main.service.d/override.conf": "[Service]\nNice=5\n",
        units / "omnitron-dev-changes-main.service.d/50-env.conf": "[Service]\nNice=6\n",
        units / "multi-user.target.wants/x.service": "",
        units / "omnitron-dev-mine.service": "[Service]\n",
        host.root / "etc/omnitron/notes.txt": "mine",
        host.root / "etc/systemd/journald@omnitron-dev.conf.d/mine.conf": "[Journal]\n",
    }
    for path, text in theirs.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    before = host.files()
    kept = {name: text for name, text in before.items() if "omnitron2" in name}
    assert kept
    host.install(plan(AFTER))
    host.install(plan(shop()))
    after = host.files()
    assert all(after[str(path.relative_to(host.root))] == text for path, text in theirs.items())
    assert kept.items() <= after.items()


def test_what_was_edited_or_removed_by_hand_comes_back(host: Host, plan: Make) -> None:
    host.install(plan(BEFORE))
    before = host.files()
    (host.root / UNITS / "omnitron-dev.target").write_text("[Unit]\n")
    (host.root / UNITS / "omnitron-dev.slice").unlink()
    (host.root / "etc/omnitron/omnitron-dev.json").write_bytes(b"\xff")
    (prepared,) = host.install(plan(BEFORE))
    assert sorted(change.reason.split(";")[0] for change in prepared.difference.changes) == [
        "edited by hand",
        "edited by hand",
        "the file was deleted",
    ]
    assert host.files() == before


def test_files_of_earlier_versions_are_recognised_without_a_manifest(host: Host, plan: Make) -> None:
    """Their first lines had another wording."""
    host.install(plan(BEFORE))
    advice = " Do not edit: changes are overwritten."
    for name, text in host.files().items():
        former = text.replace("# Generated by", "# Made by").replace(advice, "")
        (host.root / name).write_text(former if "# Made by" in former else text)
    host.store.manifest_path("omnitron-dev").unlink()
    (prepared,) = host.install(plan(BEFORE))
    reasons = {change.reason for change in prepared.difference.changes if change.unit.endswith(".service")}
    assert reasons == {"only comments changed"}


@pytest.mark.parametrize("kind", ["file", "mask", "link", "folder"])
@pytest.mark.parametrize("ours", [False, True])
def test_what_is_not_ours_is_not_overwritten(host: Host, plan: Make, kind: str, ours: bool) -> None:
    """Also where one of our files was, and something else is now."""
    if ours:
        host.install(plan(BEFORE))
    path = host.root / UNITS / "omnitron-dev-stays-main.service"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if kind == "file":
        path.write_text("[Service]\n")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/null" if kind == "mask" else host.root / "elsewhere")
    before = host.files()
    if kind == "file" and ours:
        host.install(plan(AFTER))
        return
    with pytest.raises(ForeignFileError) as caught:
        host.install(plan(AFTER))
    masked = kind == "mask"
    assert caught.value.lines() == [
        f"cannot write {path}: {'it is masked' if masked else 'omnitron did not write the existing file'}",
        f"systemctl unmask {path.name}" if masked else f"move it away: mv {path} {path}.old",
    ]
    assert host.files() == before


@pytest.mark.parametrize("kind", ["folder", "link", "nothing"])
def test_what_is_to_go_may_have_become_something_else(host: Host, plan: Make, kind: str) -> None:
    """It must not hold up every later run."""
    host.install(plan(BEFORE))
    path = host.root / UNITS / "omnitron-dev-goes-main.service"
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to("/dev/null")
    host.install(plan(AFTER))
    host.install(plan(AFTER))
    assert os.path.lexists(path) is (kind == "folder")
    assert not host.store.is_interrupted()


@pytest.mark.parametrize("link", ["etc", "etc/systemd", "etc/systemd/system", "etc/omnitron", "var/lib/omnitron"])
def test_a_link_below_root_is_not_followed(host: Host, plan: Make, tmp_path: Path, link: str) -> None:
    (tmp_path / "outside").mkdir()
    (host.root / link).parent.mkdir(parents=True, exist_ok=True)
    (host.root / link).symlink_to(tmp_path / "outside")
    with pytest.raises(SymlinkError) as caught:
        host.install(plan(BEFORE))
    assert caught.value.lines() == [
        f"cannot write below {host.root / link}: it is a symbolic link",
        "use a --root without symbolic links",
    ]
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize("umask", [0, 0o077])
def test_files_are_for_everybody_to_read_and_root_to_write(host: Host, plan: Make, umask: int) -> None:
    ready = plan(BEFORE)
    before = os.umask(umask)
    try:
        host.install(ready)
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    files = (path for path in host.root.rglob("*") if path.is_file() and path.name != "lock")
    modes = {path.stat().st_mode & 0o7777 for path in files}
    folders = {path.stat().st_mode & 0o7777 for path in host.root.rglob("*") if path.is_dir()}
    assert (modes, folders) == ({0o644}, {0o755})


def test_a_user_who_may_not_write_is_told_so(host: Host, plan: Make) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can stop being root")
    ready = plan(BEFORE)
    os.seteuid(65534)
    try:
        with pytest.raises(NotPermittedError) as caught:
            host.install(ready)
    finally:
        os.seteuid(0)
    assert caught.value.hint == "use sudo for the system's units, or --user for your own"
    assert caught.value.brief.endswith(": permission denied")
    assert host.files() == {}


def test_a_dry_run_writes_nothing(host: Host, plan: Make) -> None:
    (prepared,) = prepare(plan(BEFORE), host.store.scope, frozenset())
    assert prepared.difference.changes
    assert list(host.root.iterdir()) == []
