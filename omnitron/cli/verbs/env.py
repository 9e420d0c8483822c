"""`omnitron env`: the environment that a process gets."""

from __future__ import annotations

from typing import Annotated

import typer

from omnitron.cli import output
from omnitron.cli.arguments import App, Config, Debug, Json, User
from omnitron.cli.options import make_plan, make_scope
from omnitron.names import is_secret
from omnitron.operations.planned import find_process

MASK = "********"

Reveal = Annotated[bool, typer.Option("--reveal", help="Show what looks like a secret too.")]


def env_command(
    app: App,
    reveal: Reveal = False,
    user: User = False,
    config: Config = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show the merged environment of an app's process, with what looks like a secret masked.

    Later wins: the process's, the app's, its entry's, the stack's settings, OMNITRON_*.
    """
    plan = make_plan(make_scope(user=user))
    _, process = find_process(plan, app)
    shown = {name: MASK if is_secret(name) and not reveal else value for name, value in process.environment}
    if output.wants_json():
        output.data(shown)
        return
    for name, value in sorted(shown.items()):
        output.line(f"{name}={value}")
