"""What would change and why: a table over what is wanted, what is there, and what was installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from omnitron.install.diff import Change, compare, is_running
from omnitron.install.manifest import Entry, Manifest
from omnitron.install.store import digest
from omnitron.render.files import File

PATH = Path("/etc/systemd/system/omnitron-dev-a-main.service")
EMPTY = Manifest("shop", "/srv/shop/omnitron.config.yaml", "omnitron", "dev")
UNIT = "# Made\n[Unit]\nAfter=x\n[Service]\nExecStart=/bin/a\nNice=1\n\n[X-Omnitron]\nDigest=1\n"


def unit(text: str = UNIT, run: str | None = "r1") -> File:
    return File("units", PATH.name, text, run)


def installed(text: str, run: str | None = "r1", since: int = 1) -> Manifest:
    return Manifest(EMPTY.project, EMPTY.source, "omnitron", "dev", {str(PATH): Entry(digest(text), run, since)})


CHANGES = [
    ("nothing is there", None, None, "create", "new"),
    ("it is as it should be", UNIT, UNIT, None, None),
    ("the file was deleted", None, UNIT, "create", "the file was deleted"),
    (
        "somebody edited it",
        UNIT + "#",
        UNIT,
        "change",
        f"edited by hand; the edit is overwritten (use `systemctl edit {PATH.name}`)",
    ),
]


@pytest.mark.parametrize(("story", "present", "known", "kind", "reason"), CHANGES)
def test_one_file(story: str, present: str | None, known: str | None, kind: str | None, reason: str | None) -> None:
    manifest = installed(known) if known else None
    difference = compare({PATH: unit()}, {PATH: present}, manifest, EMPTY, frozenset(), now=7)
    assert difference.changes == ((Change(kind, PATH, reason),) if kind and reason else ()), story  # type: ignore[arg-type]
    assert difference.transaction.writes == ({PATH: UNIT} if kind else {})
    assert difference.is_empty is (kind is None)


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        (UNIT.replace("Nice=1", "Nice=2"), "Nice changed"),
        (UNIT.replace("Nice=1\n", ""), "Nice changed"),
        (UNIT.replace("Nice=1\n", "Nice=1\nUMask=0\n"), "UMask changed"),
        (UNIT.replace("After=x", "After=y").replace("/bin/a", "/bin/b"), "After, ExecStart changed"),
        (UNIT.replace("After=x\n", "").replace("Nice=1\n", "Nice=1\nAfter=x\n"), "After changed"),
        (UNIT.replace("Made", "Forged"), "only comments changed"),
        (UNIT.replace("Digest=1", "Digest=2"), "only comments changed"),
    ],
)
def test_a_changed_unit_names_the_directives_that_differ(before: str, reason: str) -> None:
    difference = compare({PATH: unit()}, {PATH: before}, installed(before), EMPTY, frozenset())
    assert difference.changes == (Change("change", PATH, reason),)


def test_another_file_just_differs() -> None:
    path, file = Path("/etc/omnitron/omnitron-dev.json"), File("policy", "omnitron-dev.json", "{}")
    known = Manifest("shop", "", "omnitron", "dev", {str(path): Entry(digest("[]"))})
    assert compare({path: file}, {path: "[]"}, known, EMPTY, frozenset()).changes[0].reason == "the content changed"


@pytest.mark.parametrize(
    ("running", "kind", "reason"),
    [
        (frozenset[str](), "remove", "no longer in the definition"),
        (
            frozenset({PATH.name}),
            "keep",
            "no longer in the definition, but still running: `omnitron up` stops it",
        ),
    ],
)
def test_a_unit_that_is_not_wanted_any_more(running: frozenset[str], kind: str, reason: str) -> None:
    difference = compare({}, {}, installed(UNIT), EMPTY, running)
    assert difference.changes == (Change(kind, PATH, reason),)  # type: ignore[arg-type]
    kept = kind == "keep"
    assert difference.is_empty is kept
    assert difference.transaction.removes == (() if kept else (PATH,))
    assert set(difference.transaction.manifest.files) == ({str(PATH)} if kept else set())


@pytest.mark.parametrize(
    ("unit", "running", "meant"),
    [
        ("a.service", {"a.service"}, True),
        ("a.service", {"a@1.service", "aa.service"}, False),
        ("a@.service", {"a@1.service"}, True),
        ("a@.service", {"a@1.socket", "aa@1.service", "a.service"}, False),
    ],
)
def test_a_template_runs_when_an_instance_does(unit: str, running: set[str], meant: bool) -> None:
    assert is_running(unit, frozenset(running)) is meant


@pytest.mark.parametrize(
    ("known", "wanted", "since"), [("r1", "r1", 1), ("r1", "r2", 7), (None, "r1", 7), ("r1", None, 7), (None, None, 1)]
)
def test_the_manifest_remembers_since_when_a_service_is_run_so(
    known: str | None, wanted: str | None, since: int
) -> None:
    difference = compare({PATH: unit(run=wanted)}, {PATH: None}, installed(UNIT, known), EMPTY, frozenset(), now=7)
    assert difference.transaction.manifest.files[str(PATH)] == Entry(digest(UNIT), wanted, since)


def test_the_manifest_of_a_change_is_of_the_project_that_makes_it() -> None:
    other = Manifest("other", "/elsewhere", "omnitron", "dev", installed(UNIT).files)
    difference = compare({PATH: unit()}, {PATH: UNIT}, other, EMPTY, frozenset(), now=7)
    assert (difference.transaction.manifest.project, difference.transaction.manifest.source) == ("shop", EMPTY.source)
