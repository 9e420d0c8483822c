"""Times, sizes and shares of a CPU as other tools write them, and as a definition does."""

from __future__ import annotations

import re

from omnitron.definition.fields import MAX_DURATION_MS, parse_size

SPAN = re.compile(r"(?:\d+(?:\.\d*)?(?:us|µs|ms|s|m|h|d))+", re.ASCII)
PART = re.compile(r"(\d+(?:\.\d*)?)(us|µs|ms|s|m|h|d)", re.ASCII)
MILLISECONDS = {"us": 0.001, "µs": 0.001, "ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def go_duration(text: str) -> int:
    """Return the milliseconds of a duration such as `1m30s`; raises ValueError."""
    if not SPAN.fullmatch(text) or len(text) > 100:
        raise ValueError(f"must be a duration such as 90s or 1m30s, not {text[:60]!r}")
    return within(sum(float(number) * MILLISECONDS[unit] for number, unit in PART.findall(text)))


def within(milliseconds: float) -> int:
    """Return whole milliseconds; raises ValueError outside the range of a definition."""
    if not 0 <= milliseconds <= MAX_DURATION_MS:
        raise ValueError("must be between 0 and ten years")
    return round(milliseconds)


def span(milliseconds: int) -> str:
    """Return a duration in its most readable form: `90s`, `1500ms`."""
    return f"{milliseconds}ms" if milliseconds % 1000 else f"{milliseconds // 1000}s"


def size(value: object) -> int | str:
    """Return a size as it was written; raises ValueError for anything else."""
    if isinstance(value, str) and re.fullmatch(r"\d+", value, re.ASCII):
        value = int(value[:30])
    parse_size(value)
    assert isinstance(value, int | str)
    return value.strip() if isinstance(value, str) else value


def cpu_quota(cpus: float) -> str | None:
    """Return a number of CPUs as a share of one, None for no limit."""
    return f"{min(max(1, round(cpus * 100)), 999_999)}%" if cpus > 0 else None
