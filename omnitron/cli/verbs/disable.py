"""`omnitron disable`: no longer start a stack at boot."""

from __future__ import annotations

from omnitron.cli import output
from omnitron.cli.arguments import Debug, Json, OptionalStack, User
from omnitron.cli.selection import is_user_scope
from omnitron.cli.verbs.enable import switch


def disable_command(stack: OptionalStack = None, user: User = False, json: Json = False, debug: Debug = False) -> None:
    """No longer start a stack at boot. What runs goes on."""
    target = switch(stack, is_user=is_user_scope(user), on=False)
    if output.wants_json():
        output.data({"disabled": target})
    else:
        output.line(f"{target} does not start at boot")
