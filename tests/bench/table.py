"""Rows of a benchmark and how they are printed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One measurement: a median in milliseconds, and a peer's in the same run."""

    what: str
    median_ms: float
    peer: str = ""
    peer_ms: float | None = None
    wanted: str = ""
    """What the figure should be, in words."""


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
        peer = f"{row.peer_ms:.1f} ms" if row.peer_ms is not None else ""
        ratio = f"{row.median_ms / row.peer_ms:.2f}" if row.peer_ms else ""
        table.append((row.what, f"{row.median_ms:.1f} ms", row.peer, peer, ratio, row.wanted))
    widths = [max(len(line[column]) for line in table) for column in range(len(head))]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
