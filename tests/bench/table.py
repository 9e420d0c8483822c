"""Rows of a benchmark and how they are printed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One measurement: a median, and a peer's in the same run."""

    what: str
    value: float
    peer: str = ""
    peer_value: float | None = None
    wanted: str = ""
    """What the figure should be, in words."""
    unit: str = "ms"


def timed_ms(action: Callable[[], object]) -> float:
    """Return how long an action takes, in milliseconds of wall time."""
    before = time.perf_counter()
    action()
    return 1000 * (time.perf_counter() - before)


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def show(rows: list[Row]) -> None:
    """Print the rows."""
    head = ("WHAT", "MEDIAN", "PEER", "PEER'S", "RATIO", "WANTED")
    table = [head]
    for row in rows:
        peer = f"{row.peer_value:.1f} {row.unit}" if row.peer_value is not None else ""
        ratio = f"{row.value / row.peer_value:.2f}" if row.peer_value else ""
        table.append((row.what, f"{row.value:.1f} {row.unit}", row.peer, peer, ratio, row.wanted))
    widths = [max(len(line[column]) for line in table) for column in range(len(head))]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
