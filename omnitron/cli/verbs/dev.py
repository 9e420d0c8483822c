"""`omnitron dev`: run a stack with its `dev` settings, and show its log until Ctrl-C."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from omnitron.cli import job_results, log_output, output, progress, selection, stack_report
from omnitron.cli.arguments import Config, Debug, OptionalApp, User
from omnitron.cli.options import load_ecosystem, make_plan, make_scope
from omnitron.operations import logs
from omnitron.operations.down import down
from omnitron.operations.installed import select_stack
from omnitron.operations.up import up

DEV = "dev"
TIMEOUT_S = 300.0
Stack = Annotated[str | None, typer.Option("--stack", help="The stack; `dev`, or the only one, if omitted.")]


def dev_command(
    app: OptionalApp = None, stack: Stack = None, user: User = False, config: Config = None, debug: Debug = False
) -> None:
    """Bring a stack up with the `dev` blocks of its apps, and follow its log, or that of one app.

    Ctrl-C stops the stack. Its units keep the settings until the next `generate` or `up`. The same settings
    are used by every verb when OMNITRON_ENV is set to something else than `production`.
    """
    os.environ.setdefault("OMNITRON_ENV", "development")
    local = [name for name, stack_ in load_ecosystem().config.stacks.items() if stack_.type == "local"]
    name = DEV if stack is None and DEV in local else select_stack(stack, local)
    scope = make_scope(user=user)
    is_user = scope.name == "user"
    plan = make_plan(scope, None, [name], installs=True)
    for text in plan.warnings:
        output.warn(text)
    stack_report.finish(up(plan, scope, timeout_s=TIMEOUT_S, progress=progress.show), is_user=is_user)
    output.progress("development: Ctrl-C stops it")
    try:
        sources = logs.sources(app, name, is_user=is_user, folder=Path.cwd())
        log_output.show_log(sources, logs.LogFilter(), is_user=is_user, follow=True)
    finally:
        policy = selection.select_stack(name, is_user=is_user)
        output.line(f"stopping {policy.stack} of {policy.project}")
        job_results.finish("stopped", down(policy, is_user=is_user, progress=progress.show))
