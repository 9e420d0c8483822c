"""`omnitron logs`: what apps have written, and what systemd says of them, from the journal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from omnitron.cli import log_output
from omnitron.cli.arguments import Debug, Json, OptionalApp, User
from omnitron.cli.selection import is_user_scope
from omnitron.operations import logs

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
    is_user = is_user_scope(user)
    sources = logs.sources(app, stack, is_user=is_user, folder=Path.cwd())
    select = logs.LogFilter(logs.check_level(level), grep, since, logs.check_lines(lines, since))
    log_output.show_log(sources, select, is_user=is_user, follow=follow)
