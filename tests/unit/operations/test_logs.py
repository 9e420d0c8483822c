"""Which log lines are read, and which words are refused."""

from __future__ import annotations

import pytest

from omnitron.errors import UsageError
from omnitron.operations.logs import check_level, check_lines


@pytest.mark.parametrize(
    ("text", "since", "expected"),
    [(None, None, 50), (None, "today", None), ("all", None, None), ("0", None, 0), ("7", "today", 7)],
)
def test_how_manycheck_lines(text: str | None, since: str | None, expected: int | None) -> None:
    assert check_lines(text, since) == expected


@pytest.mark.parametrize("text", ["-1", "many", "1.5", ""])
def test_a_number_of_lines_that_is_none(text: str) -> None:
    with pytest.raises(UsageError, match="lines: give a number, or `all`"):
        check_lines(text, None)


def test_levels() -> None:
    assert (check_level("WARN"), check_level(None)) == ("warn", None)
    with pytest.raises(UsageError, match="cannot filter by the level 'loud': it is one of fatal, error, warn"):
        check_level("loud")
