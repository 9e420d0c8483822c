"""`omnitron enable`: start a stack at boot."""

from __future__ import annotations

from omnitron.cli import output
from omnitron.cli.arguments import Debug, Json, OptionalStack, User
from omnitron.cli.selection import is_user_scope, select_stack
from omnitron.operations.boot import enable_linger, set_at_boot


def enable_command(stack: OptionalStack = None, user: User = False, json: Json = False, debug: Debug = False) -> None:
    """Start a stack at every boot; for your own manager, also let it run while you are logged out."""
    is_user = is_user_scope(user)
    policy = select_stack(stack, is_user=is_user)
    set_at_boot(policy, is_user=is_user, on=True)
    if is_user and (cure := enable_linger()):
        output.warn(f"your manager ends when you log out; to keep it: {cure}")
    if output.wants_json():
        output.data({"enabled": policy.target})
    else:
        output.line(f"{policy.target} starts at every boot")
