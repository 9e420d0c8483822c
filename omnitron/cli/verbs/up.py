"""`omnitron up`: make a stack run as the definition says."""

from __future__ import annotations

from typing import Annotated

import typer

from omnitron.cli import output, progress, stack_report
from omnitron.cli.arguments import Config, Debug, Json, OptionalStack, Runtime, User
from omnitron.cli.options import load_ecosystem, make_plan, make_scope
from omnitron.operations.installed import select_stack
from omnitron.operations.up import up

Timeout = Annotated[float, typer.Option("--timeout", help="Longest time to wait until it is healthy, in seconds.")]


def up_command(
    stack: OptionalStack = None,
    user: User = False,
    runtime: Runtime = False,
    timeout: Timeout = 300.0,
    config: Config = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Generate, then stop what was removed, restart what changed and start what is new.

    Returns when the stack is healthy; else says what is not, and exits with 1.
    """
    scope = make_scope(user=user, runtime=runtime)
    local = [name for name, stack_ in load_ecosystem().config.stacks.items() if stack_.type == "local"]
    plan = make_plan(scope, None, [select_stack(stack, local)], installs=True)
    for text in plan.warnings:
        output.warn(text)
    stack_report.finish(up(plan, scope, timeout_s=timeout, progress=progress.show), is_user=scope.name == "user")
