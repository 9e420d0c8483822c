"""`omnitron logs`: what apps have written, and what systemd says of them, from the journal."""

from __future__ import annotations

import json as json_
import re
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from omnitron.cli import output
from omnitron.cli.arguments import Debug, Json, OptionalApp, User
from omnitron.cli.selection import installed, is_user_scope
from omnitron.errors import UsageError

if TYPE_CHECKING:
    from omnitron.observe.log_lines import Line, Sources

DEFAULT_LINES = 50
LEVELS = ("fatal", "error", "warn", "info", "debug", "trace")
COLOURS = {"fatal": "red", "error": "red", "warn": "yellow", "debug": "dim", "trace": "dim"}

COLOUR_CODE = re.compile(r"\x1b\[[0-9;:]*m")
HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Control characters but for tab and line feed, and those that turn the direction of text."""

Follow = Annotated[bool, typer.Option("--follow", "-f", help="Show new lines as they come, until Ctrl-C.")]
Lines = Annotated[
    str | None,
    typer.Option("--lines", "-n", help="The latest so many, or `all`; 50 if omitted, all with --since."),
]
LevelOption = Annotated[
    str | None,
    typer.Option(
        "--level", "-l", metavar="LEVEL", help="This and more severe: fatal, error, warn, info, debug, trace."
    ),
]
Grep = Annotated[str | None, typer.Option("--grep", "-g", help="Only messages that match this regular expression.")]
Since = Annotated[
    str | None, typer.Option("--since", help="From this time on: '10min ago', 'today', '2026-01-31 12:00'.")
]
Stack = Annotated[str | None, typer.Option("--stack", help="Only this stack.")]


def logs_command(
    app: OptionalApp = None,
    follow: Follow = False,
    lines: Lines = None,
    level: LevelOption = None,
    grep: Grep = None,
    since: Since = None,
    stack: Stack = None,
    user: User = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show the logs of all apps, or of one app, process or instance.

    They are in the journal: what the app writes, and what systemd says of its start, crash and end.
    With --json each line is one object.
    """
    from omnitron.systemd import journal

    is_user = is_user_scope(user)
    sources = _sources(app, stack, is_user=is_user)
    query = journal.Query(
        units=sources.units,
        is_user=is_user,
        namespaces=sources.namespaces,
        level=_level(level),  # type: ignore[arg-type] # one of its literals
        grep=grep,
        since=since,
        lines=_lines(lines, since),
    )
    if not is_user and journal.sees_only_own():
        output.warn(f"lines of other users and of systemd are hidden from you: {journal.JOIN}")
    show = _show_json if output.wants_json() else _Table(sources.width).show
    try:
        for entry in (journal.follow if follow else journal.read)(query):
            line = sources.line(entry)
            if line:
                show(line)
            if follow:
                sys.stdout.flush()
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _sources(app: str | None, stack: str | None, *, is_user: bool) -> Sources:
    from omnitron.observe.log_lines import Sources, all_targets
    from omnitron.policy.addresses import resolve

    everything = installed(is_user=is_user)
    chosen = installed(is_user=is_user, stack=stack) if stack else everything
    targets = resolve(app, chosen, Path.cwd()) if app else all_targets(chosen)
    return Sources(targets, everything)


def _level(text: str | None) -> str | None:
    if text is not None and text.lower() not in LEVELS:
        raise UsageError(f"cannot filter by the level {text!r}: it is one of {', '.join(LEVELS)}")
    return text.lower() if text else None


def _lines(text: str | None, since: str | None) -> int | None:
    if text == "all" or (text is None and since):
        return None
    if text is not None and not text.isdecimal():
        raise UsageError(f"cannot show {text!r} lines: give a number, or `all`")
    return DEFAULT_LINES if text is None else int(text)


def _show_json(line: Line) -> None:
    output.line(json_.dumps(line.as_data(), ensure_ascii=False))


class _Table:
    """Lines for people: time, level, which process, and the message with its further lines indented."""

    def __init__(self, width: int) -> None:
        self.width = width

    def show(self, line: Line) -> None:
        """Print one."""
        time = datetime.fromtimestamp(line.entry.timestamp / 1_000_000)
        level, label = line.entry.level.ljust(5), line.label.ljust(self.width)
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
