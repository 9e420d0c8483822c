from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitron.supervision.rules.backoff import Backoff

KINDS = st.sampled_from(["exponential", "linear", "fixed"])
MILLISECONDS = st.integers(0, 10**7)
FACTORS = st.integers(0, 10) | st.sampled_from([0.5, 1.25, 1.5, 2.75])


@pytest.mark.parametrize(
    ("text", "delays"),
    [
        ("exponential:1000:30000:2", [1000, 2000, 4000, 8000, 16000, 30000, 30000]),
        ("exponential:1000:30000:1.5", [1000, 1500, 2250, 3375]),
        ("exponential:500:400:2", [400, 400]),
        ("exponential:1000:30000:0.5", [1000, 500, 250]),
        ("linear:1000:30000:2", [1000, 3000, 5000, 7000]),
        ("linear:1000:3500:1", [1000, 2000, 3000, 3500, 3500]),
        ("fixed:1000:30000:2", [1000, 1000, 1000]),
        ("fixed:0:30000:2", [0, 0]),
        ("exponential:0:30000:2", [0, 0]),
    ],
)
def test_delays(text: str, delays: list[int]) -> None:
    backoff = Backoff.parse(text)
    assert [backoff.delay_ms(attempt) for attempt in range(1, len(delays) + 1)] == delays


@pytest.mark.parametrize("attempt", [2_000, 10**9, 10**400])
def test_a_large_attempt_waits_the_maximum(attempt: int) -> None:
    assert Backoff("exponential", 1000, 30000, 2).delay_ms(attempt) == 30000
    assert Backoff("linear", 1000, 30000, 1.5).delay_ms(attempt) == 30000
    assert Backoff("fixed", 1000, 30000, 2).delay_ms(attempt) == 1000
    assert Backoff("exponential", 0, 30000, 2).delay_ms(attempt) == 0


def naive(kind: str, initial: int, maximum: int, factor: float, attempt: int) -> int:
    exact = Fraction(factor)
    delay = Fraction(initial)
    for _ in range(attempt - 1):
        delay = {"exponential": delay * exact, "linear": delay + exact * initial, "fixed": delay}[kind]
    return int(min(maximum, delay))


@given(KINDS, MILLISECONDS, MILLISECONDS, FACTORS, st.integers(1, 40))
def test_agrees_with_step_by_step_fractions(kind: str, initial: int, maximum: int, factor: float, attempt: int) -> None:
    delay = Backoff.parse(f"{kind}:{initial}:{maximum}:{factor}").delay_ms(attempt)
    assert abs(delay - naive(kind, initial, maximum, factor, attempt)) <= 1


@given(KINDS, MILLISECONDS, MILLISECONDS, st.floats(0, 1e6))
def test_text_both_ways(kind: str, initial: int, maximum: int, factor: float) -> None:
    backoff = Backoff.parse(f"{kind}:{initial}:{maximum}:{factor!r}")
    assert Backoff.parse(str(backoff)) == backoff


def test_text_is_what_a_person_would_write() -> None:
    assert str(Backoff("exponential", 1000, 30000, 2.0)) == "exponential:1000:30000:2"
    assert str(Backoff("linear", 1000, 30000, 1.5)) == "linear:1000:30000:1.5"


@pytest.mark.parametrize(
    "text",
    [
        *("", "exponential", "exponential:1:2", "cubic:1:2:3", "fixed:a:2:3", "fixed:-1:2:3", "fixed:1:2:-3"),
        *("fixed:1:2:inf", "fixed:1:2:nan", "fixed:1:2:3:4"),
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Backoff.parse(text)
