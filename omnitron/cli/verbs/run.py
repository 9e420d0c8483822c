"""`omnitron run`: a one-off command with the environment, user and sandbox of an app."""

from __future__ import annotations

from typing import Annotated

import typer

from omnitron.cli import progress
from omnitron.cli.arguments import App, Config, Debug, User
from omnitron.cli.options import make_plan, make_scope
from omnitron.errors import UsageError
from omnitron.operations.one_off import run_one_off
from omnitron.systemd.transient import require_pystemd

CONTEXT_SETTINGS = {"allow_interspersed_args": False}
"""Words after the app belong to the command, its options too."""

Command = Annotated[list[str], typer.Argument(metavar="[--] COMMAND...", help="The program and its arguments.")]


def run_command(app: App, command: Command, user: User = False, config: Config = None, debug: Debug = False) -> None:
    """Run a one-off command as an app would: its environment, user, folder, limits and sandbox.

    For migrations and shells. The command is a transient unit in the app's slice, with this terminal or
    these streams. Ctrl-C stops it; what does not listen in a terminal, Ctrl-] three times. The exit status
    is the command's, 128 + N after signal N.
    """
    require_pystemd()
    argv = command[1:] if command[0] == "--" else command
    if not argv:
        raise UsageError("cannot run a command: there is none", hint=f"for example: omnitron run {app} -- env")
    raise typer.Exit(run_one_off(make_plan(make_scope(user=user)), app, argv, progress.show))
