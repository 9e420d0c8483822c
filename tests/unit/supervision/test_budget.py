import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitron.supervision.rules.budget import Budget, Verdict


@pytest.mark.parametrize(
    ("budget", "crashes", "now", "attempt", "final"),
    [
        ("5:60000", [], 100.0, 1, False),
        ("5:60000", [96, 97, 98, 99], 100.0, 5, False),
        ("5:60000", [95, 96, 97, 98, 99], 100.0, 6, True),
        ("5:60000", [39, 96, 97, 98, 99], 100.0, 5, False),
        ("5:60000", [40, 96, 97, 98, 99], 100.0, 6, True),
        ("0:60000", [], 100.0, 1, True),
        ("1:60000", [39.999], 100.0, 1, False),
        ("1:60000", [40.0], 100.0, 2, True),
        ("5:0", [99.0, 99.9], 100.0, 1, False),
    ],
)
def test_verdicts(budget: str, crashes: list[float], now: float, attempt: int, final: bool) -> None:
    verdict = Budget.parse(budget).judge(crashes, now)
    assert (verdict.attempt, verdict.final) == (attempt, final)


def test_a_crash_that_is_recorded_late_still_counts_the_others() -> None:
    assert Budget(5, 60_000).judge([99.0, 101.0], 100.0) == Verdict((99.0, 100.0, 101.0), 3, False)


def test_a_verdict_is_frozen() -> None:
    verdict = Budget(5, 60_000).judge([], 1.0)
    with pytest.raises(AttributeError):
        verdict.attempt = 2  # type: ignore[misc]


@given(st.integers(0, 8), st.integers(0, 30), st.lists(st.integers(0, 20), max_size=60))
def test_agrees_with_a_model_that_looks_at_every_moment(maximum: int, window: int, gaps: list[int]) -> None:
    """Whole seconds, so that both compute exactly."""
    budget = Budget(maximum, window * 1000)
    now, kept, everything = 0.0, (), []
    for gap in gaps:
        now += gap
        verdict = budget.judge(kept, now)
        everything.append(now)
        inside = [at for at in everything if now - at <= window]
        assert verdict == Verdict(tuple(inside), len(inside), len(inside) > maximum)
        kept = verdict.crashes
        if verdict.final:
            kept, everything = (), []


@given(st.integers(1, 8), st.integers(1, 10**6), st.lists(st.floats(0, 10**6), max_size=50))
def test_never_more_restarts_in_a_window_than_allowed(maximum: int, window_ms: int, times: list[float]) -> None:
    budget = Budget(maximum, window_ms)
    restarted: list[float] = []
    for now in sorted(times):
        if budget.judge(restarted, now).final:
            break
        restarted.append(now)
    for end in restarted:
        assert sum(budget.window_start(end) <= at <= end for at in restarted) <= maximum


@given(st.integers(0, 10**6), st.integers(0, 10**9))
def test_text_both_ways(maximum: int, window_ms: int) -> None:
    budget = Budget(maximum, window_ms)
    assert Budget.parse(str(budget)) == budget


@pytest.mark.parametrize("text", ["", "5", "5:", ":60000", "a:1", "-1:60000", "5:-1", "5:1:2"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Budget.parse(text)
