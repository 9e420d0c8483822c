"""Arguments that verbs share: what is refused, and in which words."""

from __future__ import annotations

import pytest
import typer

from omnitron.cli.arguments import whole_number


@pytest.mark.parametrize("text, number", [("1", 1), ("1000", 1000), ("007", 7)])
def test_whole_numbers(text: str, number: int) -> None:
    assert whole_number(1, 1000)(text) == number


@pytest.mark.parametrize("text", ["0", "1001", "-3", "many", "", "1.5", " 2", "٣", "9" * 5000])
def test_what_is_none(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"is not a whole number from 1 to 1000$"):
        whole_number(1, 1000)(text)


def test_without_an_end() -> None:
    with pytest.raises(typer.BadParameter, match=r"^'0' is not a whole number of 1 or more$"):
        whole_number(1)("0")
    assert whole_number(1)("123456") == 123456
