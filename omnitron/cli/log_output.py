"""Log lines, printed for people or programs."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

import typer

from omnitron.cli import output
from omnitron.operations import logs

if TYPE_CHECKING:
    from omnitron.observe.log_lines import Line, Sources

COLOURS = {"fatal": "red", "error": "red", "warn": "yellow", "debug": "dim", "trace": "dim"}

COLOUR_CODE = re.compile(r"\x1b\[[0-9;:]*m")
HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Control characters but for tab and line feed, and those that turn the direction of text."""


def show_log(sources: Sources, select: logs.LogFilter, *, is_user: bool, follow: bool) -> None:
    """Print a log, and that lines of it are hidden from this user; with `follow` until Ctrl-C, through a pipe too."""
    if cure := logs.hidden_lines(is_user=is_user):
        output.warn(f"lines of other users and of systemd are hidden from you: {cure}")
    try:
        show(logs.lines(sources, select, is_user=is_user, follow=follow), width=sources.width, at_once=follow)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def show(lines: Iterable[Line | None], *, width: int, at_once: bool) -> None:
    """Print lines as they come, labels `width` wide; with `at_once` through a pipe too."""
    for line in lines:
        if line and output.wants_json():
            output.line(json.dumps(line.as_data(), ensure_ascii=False))
        elif line:
            _print(line, width)
        if at_once:
            sys.stdout.flush()


def _print(line: Line, width: int) -> None:
    """Print time, level, the process, and the message with its further lines indented."""
    time = datetime.fromtimestamp(line.entry.timestamp / 1_000_000)
    level, label = line.entry.level.ljust(5), line.label.ljust(width)
    head = f"{time:%Y-%m-%d %H:%M:%S}.{time.microsecond // 1000:03} {level} {label} "
    first, *rest = harmless(line.entry.message).split("\n")
    colour = COLOURS.get(line.entry.level)
    output.line(
        f"{output.paint(head[:23], 'dim')} {output.paint(level, colour) if colour else level} "
        f"{output.paint(label, 'bold')} {first}"
    )
    for text in rest:
        output.line(" " * len(head) + text)


def harmless(message: str) -> str:
    """Return a message without what would act on a terminal: colours are dropped, the rest becomes visible."""
    text = COLOUR_CODE.sub("", message.replace("\r\n", "\n"))
    return HARMFUL.sub(lambda match: _visible(match[0]), text).rstrip("\n")


def _visible(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
