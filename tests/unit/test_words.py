"""Ratchets of how the code is written: names, docstrings, sizes. They measure with tests/support/structure.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import structure

PACKAGE = Path(__file__).parents[2] / "omnitron"
MOST_PERCENT = 0.5
LONGEST_MODULE, LONGEST_FUNCTION = 400, 60
PACKAGES = structure.packages(PACKAGE)


@pytest.mark.parametrize("name", sorted(PACKAGES))
def test_names_are_nouns_and_verbs_of_the_field(name: str) -> None:
    share = structure.name_share(PACKAGES[name])
    names = [f"{path.name}:{bad.line} {bad.name}" for path in PACKAGES[name] for bad in structure.bad_names(path)]
    assert share.percent <= MOST_PERCENT, "\n".join(names)


@pytest.mark.parametrize("name", sorted(PACKAGES))
def test_docstrings_begin_with_the_thing_or_the_verb(name: str) -> None:
    share = structure.question_share(PACKAGES[name])
    heads = [f"{path.name}: {head[:60]}" for path in PACKAGES[name] for head in structure.questions(path)]
    assert share.percent <= MOST_PERCENT, "\n".join(heads)


@pytest.mark.parametrize("path", structure.modules(PACKAGE), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_and_functions_are_short(path: Path) -> None:
    assert structure.lines(path) <= LONGEST_MODULE
    long = [function.name for function in structure.functions(path) if function.lines > LONGEST_FUNCTION]
    assert not long, f"{path.name}: split {', '.join(long)}"
