"""The line in which a service describes itself to systemd, its `StatusText`: a state and words, or words alone.

    degraded: the cache does not answer

The state is a code, of which there are three; who shows the line, and who acts on it, reads it with `decode`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

State = Literal["healthy", "degraded", "unhealthy"]
STATES: tuple[State, ...] = get_args(State)


class StatusLine(NamedTuple):
    """A line, taken apart: the state that it names, None for words alone, and the words."""

    state: State | None
    words: str


def encode(state: State, words: str = "") -> str:
    """Return the line, as one line."""
    return f"{state}: {' '.join(words.split())}" if words else state


def decode(text: str) -> StatusLine:
    """Take a line apart; of a state that is not one of the three, nothing is taken off."""
    head, _, rest = text.partition(": ")
    state = next((state for state in STATES if state == head), None)
    return StatusLine(state, rest if state else text)
