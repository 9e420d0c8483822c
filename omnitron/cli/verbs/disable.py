"""`omnitron disable`: no longer start a stack at boot."""

from __future__ import annotations

from omnitron.cli import output
from omnitron.cli.arguments import Debug, Json, OptionalStack, User
from omnitron.cli.selection import is_user_scope, select_stack
from omnitron.operations.boot import set_at_boot


def disable_command(stack: OptionalStack = None, user: User = False, json: Json = False, debug: Debug = False) -> None:
    """No longer start a stack at boot. What runs goes on."""
    is_user = is_user_scope(user)
    policy = select_stack(stack, is_user=is_user)
    set_at_boot(policy, is_user=is_user, on=False)
    if output.wants_json():
        output.data({"disabled": policy.target})
    else:
        output.line(f"{policy.target} does not start at boot")
