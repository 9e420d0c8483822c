from __future__ import annotations

import json
from pathlib import Path

import pytest

from omnitron.errors import OmnitronError
from omnitron.install.installer import manifests
from omnitron.install.manifest import Entry, Manifest, OwnedByAnotherError, check_owner, load
from omnitron.install.store import STAGED
from tests.support.build import planned, shop
from tests.support.install import BEFORE, Host, Make

FULL = Manifest("shop", "/srv/é", "omnitron", "dev", {"/a": Entry("d", "r", 5), "/b": Entry("e")})


def test_a_manifest_reads_back(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(FULL.dump())
    assert load(tmp_path / "m.json") == FULL
    assert load(tmp_path / "none.json") is None
    assert json.loads(FULL.dump())["version"] == 1


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "5", "{}", '{"files": 5}', FULL.dump().replace("digest", "dig"), FULL.dump()[:-9], "\\ud800"],
)
def test_a_damaged_manifest_is_an_error_that_says_what_to_do(tmp_path: Path, text: str) -> None:
    path = tmp_path / "m.json"
    path.write_text(text)
    with pytest.raises(OmnitronError) as caught:
        load(path)
    assert caught.value.lines() == [
        f"cannot tell what is installed: {path} is damaged",
        f"move it away; `omnitron generate` recognises the files by their first line: mv {path} {path}.broken",
    ]


def test_binary_in_place_of_a_manifest(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_bytes(b"\xff\0")
    with pytest.raises(OmnitronError, match="is damaged"):
        load(tmp_path / "m.json")


def test_a_stack_is_free_or_ours_or_of_a_project_that_moved(tmp_path: Path) -> None:
    here, gone = tmp_path / "here.yaml", tmp_path / "gone.yaml"
    here.touch()
    check_owner(None, "shop", str(here))
    check_owner(Manifest("shop", str(here), "omnitron", "dev"), "renamed", str(here))
    check_owner(Manifest("shop", str(gone), "omnitron", "dev"), "shop", str(here))


@pytest.mark.parametrize(("project", "exists"), [("shop", True), ("other", True), ("other", False)])
def test_otherwise_it_belongs_to_another(tmp_path: Path, project: str, exists: bool) -> None:
    owner = Manifest(project, str(tmp_path / "theirs.yaml"), "omnitron", "dev")
    if exists:
        (tmp_path / "theirs.yaml").touch()
    with pytest.raises(OwnedByAnotherError) as caught:
        check_owner(owner, "shop", str(tmp_path / "mine.yaml"))
    assert caught.value.lines() == [
        f"cannot install the stack 'dev': its unit names belong to project '{project}' ({tmp_path}/theirs.yaml)",
        "set a different unitPrefix for this project",
    ]


def test_two_projects_with_one_prefix_and_stack(host: Host, plan: Make, tmp_path: Path) -> None:
    host.install(plan(BEFORE))
    before = host.files()
    with pytest.raises(OwnedByAnotherError):
        host.install(planned(tmp_path / "other", BEFORE))
    assert host.files() == before
    host.install(planned(tmp_path / "other", BEFORE | {"unitPrefix": "other"}))
    assert before.items() <= host.files().items()


def test_a_project_that_moved_takes_its_units_along(host: Host, plan: Make, tmp_path: Path) -> None:
    host.install(plan(shop({"name": "a"}, {"name": "b"})))
    (tmp_path / "project").rename(tmp_path / "moved")
    moved = planned(tmp_path / "moved", shop({"name": "a"}))
    (prepared,) = host.install(moved)
    assert {change.kind for change in prepared.difference.changes} == {"change", "remove"}
    assert [manifest.source for manifest in manifests(host.store.scope)] == [str(moved.ecosystem.path)]
    assert not any("project/" in text for text in host.files().values())


def test_what_a_killed_run_left_is_no_manifest(host: Host, plan: Make) -> None:
    """A dry run reads the manifests without a lock."""
    host.install(plan(BEFORE))
    (host.store.scope.state / f"{STAGED}omnitron-dev.json").write_text("{half")
    assert [manifest.stack for manifest in manifests(host.store.scope)] == ["dev"]
