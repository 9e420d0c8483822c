"""A history as a line of bars."""

from __future__ import annotations

import pytest

from omnitron.cli.metrics_table import WIDTH, sparkline


@pytest.mark.parametrize(
    ("values", "line"),
    [([], ""), ([0.0], "▁"), ([1.0], "█"), ([0.1, 0.5], "▁▅"), ([0.0, 50.0, 100.0], "▁▅█")],
)
def test_a_full_bar_is_the_largest_value_or_one_per_cent(values: list[float], line: str) -> None:
    assert sparkline(values) == line


def test_only_the_latest_are_shown() -> None:
    assert sparkline([100.0] * 5 + [50.0] * WIDTH) == "█" * WIDTH
