from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from omnitron import errors
from omnitron.errors import DefinitionError, OmnitronError, Problem


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("f.yaml", 3, "a.b", "cannot be 0", "did you mean 1?"), "f.yaml:3: a.b: cannot be 0 (did you mean 1?)"),
        (Problem("f.yaml", 3, "", "cannot parse: no"), "f.yaml:3: cannot parse: no"),
        (Problem("f.yaml", 0, "", "cannot read: no"), "f.yaml: cannot read: no"),
        (Problem("f.py", 0, "apps", "cannot be 0"), "f.py: apps: cannot be 0"),
    ],
)
def test_a_problem_is_one_line_with_its_place_first(problem: Problem, text: str) -> None:
    assert str(problem) == text


def test_a_definition_error_has_every_problem_once_in_the_order_of_the_files() -> None:
    found = [Problem("b", 1, "", "x"), Problem("a", 10, "", "x"), Problem("a", 9, "z", "x"), Problem("a", 9, "b", "x")]
    error = DefinitionError([*found, found[0]])
    assert error.lines() == str(error).split("\n") == ["a:9: b: x", "a:9: z: x", "a:10: x", "b:1: x"]


def test_problems_with_and_without_a_hint_can_be_sorted() -> None:
    assert len(DefinitionError([Problem("a", 1, "", "x", "hint"), Problem("a", 1, "", "x")]).problems) == 2


def test_an_error_is_what_and_what_to_do() -> None:
    assert OmnitronError("cannot x: y").lines() == ["cannot x: y"]
    assert OmnitronError("cannot x: y", hint="do z").lines() == ["cannot x: y", "do z"]
    assert str(OmnitronError("cannot x: y", hint="do z")) == "cannot x: y"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.OmnitronError, 1),
        (errors.UsageError, 2),
        (errors.DefinitionError, 3),
        (errors.SystemdUnreachableError, 4),
        (errors.NotPermittedError, 5),
    ],
)
def test_exit_statuses(error: type[OmnitronError], status: int) -> None:
    assert error.exit_code == status


def test_a_problem_is_a_value() -> None:
    with pytest.raises(FrozenInstanceError):
        Problem("a", 1, "", "x").line = 2  # type: ignore[misc]
