"""The measures of structure, on source whose measures are plain to see."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import structure

SOURCE = '''\
"""What this holds."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import decimal

given = 1
"""Whose it is."""
limit = 2
"""The limit, in seconds."""


class FoundThing:
    """A thing."""

    def __init__(self, known_hosts: int) -> None:
        self._kept, self.other = known_hosts, 0


def ask(everyone: int) -> None:
    """Return nothing, whatever is given."""
    import json

    if TYPE_CHECKING:
        import fractions
    try:
        total: int = sum(each_one for each_one in ())
    except ValueError as told:
        print(given, told, json, total)


async def nap() -> None:
    async def deeper() -> None:
        from os import path
'''


@pytest.fixture
def path(tmp_path: Path) -> Path:
    package = tmp_path / "pkg"
    (package / "part").mkdir(parents=True)
    (package / "part/thing.py").write_text(SOURCE)
    (package / "part/__init__.py").touch()
    (package / "main.py").write_text("x = 1\n")
    return package / "part/thing.py"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("given", True),
        ("_GIVEN", True),
        ("known_hosts", True),
        ("whatFoundIt", True),
        ("HTTPKept", True),
        ("one", True),
        ("each_one", True),
        ("eachOne", True),
        ("one_shot", False),
        ("everyone", False),
        ("unknown", False),
        ("foundation", False),
        ("_", False),
    ],
)
def test_vague_names(name: str, expected: bool) -> None:
    assert structure.is_vague(name) is expected


def test_names_that_a_file_binds(path: Path) -> None:
    names = [name.name for name in structure.bound_names(path)]
    module = ["given", "limit", "FoundThing", "__init__", "self", "known_hosts", "_kept", "other"]
    assert sorted(names) == sorted([*module, "ask", "everyone", "total", "each_one", "told", "nap", "deeper"])
    bad = [(name.name, name.line) for name in structure.bad_names(path)]
    assert bad == [("given", 8), ("FoundThing", 14), ("known_hosts", 17), ("_kept", 18), ("each_one", 28), ("told", 29)]


def test_docstrings(path: Path) -> None:
    assert len(structure.docstrings(path)) == 5
    assert sorted(structure.questions(path)) == ["What this holds.", "Whose it is."]


def test_imports_inside_of_functions(path: Path) -> None:
    assert structure.late_imports(path) == [23, 35]


def test_functions(path: Path) -> None:
    assert {function.name: function.lines for function in structure.functions(path)} == {
        "__init__": 2,
        "ask": 10,
        "nap": 3,
        "deeper": 2,
    }


def test_shares(path: Path) -> None:
    package = path.parents[1]
    assert {name: len(paths) for name, paths in structure.packages(package).items()} == {"part": 2, "pkg": 1}
    assert structure.name_share(structure.modules(package)) == structure.Share(6, 16)
    assert structure.question_share([path]) == structure.Share(2, 5)
    (package.parent / "tests/deep").mkdir(parents=True)
    (package.parent / "tests/deep/test_thing.py").touch()
    share = structure.tested_share(package, package.parent / "tests")
    assert (share, share.percent) == (structure.Share(1, 2), 50)
    assert structure.Share(0, 0).percent == 0
