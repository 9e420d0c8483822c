"""Times, sizes and shares of a CPU as other tools write them."""

from __future__ import annotations

import pytest

from omnitron.importers.quantities import cpu_quota, go_duration, size, span


@pytest.mark.parametrize(
    ("text", "milliseconds"), [("90s", 90_000), ("1m30s", 90_000), ("1.5s", 1500), ("0s", 0), ("1h", 3_600_000)]
)
def test_a_duration(text: str, milliseconds: int) -> None:
    assert go_duration(text) == milliseconds


@pytest.mark.parametrize("text", ["", "90", "s", "1 s", "-1s", "1w", "1s" * 100, "٣s", "99999999999h"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        go_duration(text)


def test_a_span_is_written_in_the_unit_that_is_read_best() -> None:
    assert [span(milliseconds) for milliseconds in (90_000, 1500, 0)] == ["90s", "1500ms", "0s"]


def test_a_size() -> None:
    assert [size(value) for value in ("512", 512, " 64mb ")] == [512, 512, "64mb"]
    with pytest.raises(ValueError, match="size"):
        size("much")


def test_a_number_of_cpus() -> None:
    assert [cpu_quota(cpus) for cpus in (0.5, 2, 0.0001, 0, 1e9)] == ["50%", "200%", "1%", None, "999999%"]
