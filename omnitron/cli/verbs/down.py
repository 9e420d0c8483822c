"""`omnitron down`: stop a stack in order."""

from __future__ import annotations

from typing import Annotated

import typer

from omnitron.cli import job_results, output, progress
from omnitron.cli.arguments import Debug, Json, OptionalStack, User
from omnitron.cli.selection import is_user_scope, select_stack
from omnitron.operations.down import down

Remove = Annotated[bool, typer.Option("--remove", help="Remove its units and its containers too.")]
Volumes = Annotated[
    bool, typer.Option("--volumes", help="With --remove: remove the data in the volumes of its containers too.")
]


def down_command(
    stack: OptionalStack = None,
    remove: Remove = False,
    volumes: Volumes = False,
    user: User = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Stop every app of a stack: lower `shutdown.priority` first, dependents before what they need.

    The units stay installed, unless --remove is given: `systemctl start` starts the stack again. What its servers
    keep, and its secrets, stay in any case.
    """
    is_user = is_user_scope(user)
    policy = select_stack(stack, is_user=is_user)
    if not output.wants_json():
        output.line(f"stopping {policy.stack} of {policy.project}")
    outcome = down(policy, is_user=is_user, removes=remove, removes_volumes=volumes, progress=progress.show)
    job_results.finish("stopped", outcome)
