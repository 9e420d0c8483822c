"""Figures over time."""

from __future__ import annotations

from omnitron.watcher.metrics.history import History


def filled(size: int, *readings: tuple[float, float, int]) -> History:
    history = History(size)
    for reading in readings:
        history.add(*reading)
    return history


def test_the_first_reading_is_a_base() -> None:
    assert filled(3, (0, 5.0, 100)).cpu == []
    assert filled(3, (0, 5.0, 100), (2, 6.0, 200)).cpu == [50.0]
    assert filled(3, (0, 5.0, 100), (2, 6.0, 200)).memory == [200.0]


def test_the_oldest_goes_first() -> None:
    history = filled(3, *((at, at / 100 * at, at) for at in range(6)))
    assert history.memory == [3.0, 4.0, 5.0]
    assert history.cpu == sorted(history.cpu)


def test_a_new_run_starts_at_nothing() -> None:
    """Its first figures must not be a fall below zero."""
    history = filled(9, (0, 5.0, 1), (1, 6.0, 1), (2, 0.1, 1), (3, 0.6, 1))
    assert [round(value) for value in history.cpu] == [100, 50]


def test_a_clock_that_stands_divides_by_nothing() -> None:
    assert filled(3, (1, 5.0, 1), (1, 6.0, 1)).cpu == []


def test_a_ring_of_none_keeps_one() -> None:
    assert len(filled(0, (0, 0, 1), (1, 1, 1), (2, 2, 2)).cpu) == 1
