"""The one place that prints: text for people, one line of JSON for programs, colour only on a terminal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from omnitron.cli.options import options

COLOURS = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "bold": "1", "dim": "2"}

ERRORS_SHOWN = 10
"""A pool of hundreds that fails for one reason must not scroll the reason away."""


def wants_json() -> bool:
    """Return whether the output is for a program."""
    return options.json or os.environ.get("OMNITRON_OUTPUT") == "json"


def data(value: Any) -> None:
    """Print data as one line of JSON."""
    line(json.dumps(value, ensure_ascii=False))


def line(text: str = "") -> None:
    """Print one line on stdout."""
    sys.stdout.write(text + "\n")


def progress(text: str) -> None:
    """Print one line on stdout at once, for somebody who waits, through a pipe too."""
    line(text)
    sys.stdout.flush()


def note(text: str) -> None:
    """Print one line for the user beside the output: stderr."""
    sys.stderr.write(text + "\n")


def warn(text: str) -> None:
    """Print one line of warning."""
    note(f"{paint('warning:', 'yellow', sys.stderr)} {text}")


def errors(texts: Sequence[str], hint: str) -> None:
    """Print what went wrong, one line each, then what to do; of many, the first and the number of the others."""
    for text in texts[:ERRORS_SHOWN]:
        note(f"{paint('error:', 'red', sys.stderr)} {text}")
    if len(texts) > ERRORS_SHOWN:
        note(f"       and {len(texts) - ERRORS_SHOWN} more; --json lists all")
    note(f"       {hint}")


def paint(text: str, colour: str, stream: Any = None) -> str:
    """Return `text` in a colour when the stream is a terminal that wants it."""
    return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if _has_colour(stream or sys.stdout) else text


def _has_colour(stream: Any) -> bool:
    return stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], colours: dict[tuple[int, int], str] | None = None
) -> None:
    """Print rows in columns as wide as they need; numbers stand to the right.

    `colours` names the colour of a cell by (row, column).
    """
    body = [[str(cell) for cell in row] for row in rows]
    colours = colours if colours and _has_colour(sys.stdout) else {}
    widths = [max(len(row[column]) for row in [list(headings), *body]) for column in range(len(headings))]
    numeric = [bool(body) and all(_is_number(row[column]) for row in body) for column in range(len(headings))]
    line("  ".join(_cell(text, widths[i], numeric[i]) for i, text in enumerate(headings)).rstrip())
    for number, row in enumerate(body):
        cells = []
        for column, text in enumerate(row):
            colour = colours.get((number, column))
            cell = _cell(text, widths[column], numeric[column])
            cells.append(paint(cell, colour) if colour else cell)
        line("  ".join(cells).rstrip())


def _is_number(text: str) -> bool:
    return text == "-" or text[:1].isdigit()


def _cell(text: str, width: int, right: bool) -> str:
    return text.rjust(width) if right else text.ljust(width)


def count(number: int, what: str) -> str:
    """Return a number of things: `1 app`, `2 apps`."""
    return f"{number} {what}" + ("" if number == 1 else "s")


def size(count: int) -> str:
    """Return bytes as people read them: `12.3M`."""
    value = float(count)
    for unit in ("B", "K", "M", "G"):
        if value < 1024:
            return f"{value:.0f}{unit}" if unit == "B" else f"{value:.1f}{unit}"
        value /= 1024
    return f"{value:.1f}T"


def duration(seconds: float) -> str:
    """Return a duration as people read it: `3m 5s`, its two largest units."""
    whole = int(seconds)
    parts = [(whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "m"), (whole % 60, "s")]
    shown = [f"{count}{unit}" for count, unit in parts]
    first = next((index for index, (count, _) in enumerate(parts) if count), 3)
    return " ".join(shown[first : first + 2])


def clear() -> None:
    """Clear the terminal, for a view that refreshes."""
    if sys.stdout.isatty():
        sys.stdout.write("\x1b[H\x1b[2J")
