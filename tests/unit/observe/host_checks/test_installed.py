"""Installs that are damaged or half done."""

from __future__ import annotations

from pathlib import Path

from omnitron.observe.host_checks import installed
from omnitron.observe.host_checks.subject import InstalledUnit, Subject
from tests.unit.observe.host_checks.build import states


def test_interrupted_and_damaged_installs() -> None:
    unit = InstalledUnit(Path("/u/a.service"), "same")
    assert states(installed.check(Subject(False, units=(unit,)))) == [("installed", "ok")]
    assert states(installed.check(Subject(False, interrupted=True))) == [("installed", "warn")]
    assert states(installed.check(Subject(False, errors=("x is damaged",)))) == [("installed", "fail")]


def test_a_manifest_that_is_missing() -> None:
    subject = Subject(False, lost_manifests=(Path("/var/lib/omnitron/.installed/omnitron-dev.json"),))
    (finding,) = installed.check(subject)
    assert finding.state == "fail"
    assert finding.message.startswith("/var/lib/omnitron/.installed/omnitron-dev.json is missing: ")


def test_nothing_installed_is_nothing_to_say() -> None:
    assert states(installed.check(Subject(False))) == []
