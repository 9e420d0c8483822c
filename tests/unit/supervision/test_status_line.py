"""The line that a service describes itself in."""

from __future__ import annotations

import pytest

from omnitron.supervision.status_line import STATES, State, decode, encode


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("words", ["", "so so", "a: b", "degraded: unhealthy"])
def test_what_is_encoded_is_decoded(state: State, words: str) -> None:
    assert decode(encode(state, words)) == (state, words)


@pytest.mark.parametrize(
    "line", ["", "running before_start", "degradedness: high", "Degraded: x", "degraded:x", "a: b"]
)
def test_words_alone_have_no_state(line: str) -> None:
    assert decode(line) == (None, line)


def test_it_is_one_line() -> None:
    assert encode("degraded", "a\nREADY=1\n") == "degraded: a READY=1"
