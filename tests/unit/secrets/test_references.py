"""References to secrets in text."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitron.secrets import references


def test_a_reference_is_found_and_filled_in() -> None:
    text = "postgresql://a:${secret:db|url}@h/${secret:name}$x"
    assert references.names_in(text) == ["db", "name"]
    assert references.fill(text, {"db": "a/b:c", "name": "${secret:db}"}.__getitem__) == (
        "postgresql://a:a%2Fb%3Ac@h/${secret:db}$x"
    )


def test_what_is_written_is_read_back() -> None:
    assert references.names_in(references.to("a") + references.to("b", references.URL)) == ["a", "b"]


@pytest.mark.parametrize("text", ["${secret:", "${secret:}", "${secret:a", "${secret:a|quoted}", "${secret:|url}"])
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a valid reference"):
        references.names_in(text)


@given(st.text())
def test_a_url_carries_every_character(value: str) -> None:
    filled = references.fill(references.to("x", references.URL), lambda _: value)
    assert unquote(filled) == value
    assert set(filled.encode()) <= references.UNRESERVED | {ord("%")}


@given(st.text().filter(lambda text: references.OPENING not in text))
def test_other_text_is_left_alone(text: str) -> None:
    assert references.fill(text, lambda _: "secret") == text
