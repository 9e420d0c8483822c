"""Missing paths, programs and users of installed units."""

from __future__ import annotations

from pathlib import Path

from omnitron.observe.host_checks import paths
from omnitron.observe.host_checks.subject import InstalledUnit, Subject
from tests.unit.observe.host_checks.build import states


def test_all_that_installed_units_name(tmp_path: Path) -> None:
    unit = InstalledUnit(tmp_path / "a.service", "same", (str(tmp_path), "/bin/sh"), ("sh",), "root")
    assert states(paths.check(Subject(False, units=(unit,)))) == [("paths", "ok")]


def test_each_missing_thing_is_named_once_with_its_units(tmp_path: Path) -> None:
    gone = str(tmp_path / "gone")
    units = (
        InstalledUnit(Path("/u/a.service"), "same", (gone,), ("no-such-program",), "no-such-user"),
        InstalledUnit(Path("/u/b.service"), "same", (gone,)),
    )
    messages = [finding.message for finding in paths.check(Subject(False, units=units))]
    assert messages == [
        f"a.service and 1 more cannot run: {gone} is not there",
        "a.service cannot run: the program no-such-program is not there",
        "a.service cannot run: the user no-such-user is not there",
    ]


def test_nothing_installed_is_nothing_to_say() -> None:
    assert states(paths.check(Subject(False))) == []
