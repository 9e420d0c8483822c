"""The definition and the programs that it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from omnitron.observe.host_checks import definition, programs
from omnitron.observe.host_checks.subject import Definition, Subject
from tests.unit.observe.host_checks.build import states


def test_the_definition() -> None:
    wrong = Definition(Path("/d"), ("d:3: apps: cannot x", "d:4: y"), ())
    (finding,) = definition.check(Subject(False, wrong))
    assert (finding.state, finding.message) == ("fail", "d:3: apps: cannot x (and 1 more)")
    right = Definition(Path("/d"), (), (("dev/a:main", "/bin/sh"), ("dev/b:main", "no-such-program")))
    found = list(definition.check(Subject(False, right)))
    assert states(iter(found)) == [("definition", "ok"), ("programs", "fail")]
    assert found[1].message == "dev/b:main runs no-such-program, which is not here"
    assert states(definition.check(Subject(False))) == []


def test_node_has_a_cure_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "SEARCH_PATH", "/nowhere")
    _, finding = definition.check(Subject(False, Definition(Path("/d"), (), (("dev/a:main", "node"),))))
    assert finding.cure == "apt install nodejs"
