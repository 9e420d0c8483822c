"""`omnitron dev`: run a stack with its `dev` settings, and show its log until Ctrl-C."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from omnitron.cli import output
from omnitron.cli.arguments import Config, Debug, OptionalApp, User
from omnitron.cli.context import load_ecosystem, one_stack

DEV = "dev"
Stack = Annotated[str | None, typer.Option("--stack", help="The stack; `dev`, or the only one, if omitted.")]


def dev_command(
    app: OptionalApp = None, stack: Stack = None, user: User = False, config: Config = None, debug: Debug = False
) -> None:
    """Bring a stack up with the `dev` blocks of its apps, and follow its log, or that of one app.

    Ctrl-C stops the stack. Its units keep the settings until the next `generate` or `up`. The same settings
    are used by every verb when OMNITRON_ENV is set to something else than `production`.
    """
    from omnitron.cli.verbs.down import down_command
    from omnitron.cli.verbs.logs import logs_command
    from omnitron.cli.verbs.up import up_command

    os.environ.setdefault("OMNITRON_ENV", "development")
    local = [name for name, one in load_ecosystem().config.stacks.items() if one.type == "local"]
    name = DEV if stack is None and DEV in local else one_stack(stack, local)
    up_command(name, user=user)
    output.progress("development: Ctrl-C stops it")
    try:
        logs_command(app, follow=True, stack=name, user=user)
    finally:
        down_command(name, user=user)
