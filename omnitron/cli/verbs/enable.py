"""`omnitron enable`: start a stack at boot."""

from __future__ import annotations

import asyncio
import getpass
import subprocess
from pathlib import Path

from omnitron.cli import output
from omnitron.cli.arguments import Debug, Json, OptionalStack, User
from omnitron.cli.selection import is_user_scope, one_installed, scopes
from omnitron.errors import OmnitronError


def enable_command(stack: OptionalStack = None, user: User = False, json: Json = False, debug: Debug = False) -> None:
    """Start a stack at every boot; for your own manager, also let it run while you are logged out."""
    is_user = is_user_scope(user)
    target = switch(stack, is_user=is_user, on=True)
    if is_user:
        _ask_for_linger()
    if output.wants_json():
        output.data({"enabled": target})
    else:
        output.line(f"{target} starts at every boot")


def switch(stack: str | None, *, is_user: bool, on: bool) -> str:
    """Enable or disable the target of a stack; return its name."""
    from omnitron.systemd.manager import Manager

    policy = one_installed(stack, is_user=is_user)
    runtime = policy.path.parent == scopes(is_user)[1].policies
    if runtime and on:
        raise OmnitronError(
            f"cannot enable {policy.target}: its units are under /run and gone after a reboot",
            hint="generate without --runtime first",
        )

    async def run() -> None:
        async with Manager(is_user=is_user) as manager:
            await (manager.enable if on else manager.disable)([policy.target], runtime=runtime)

    asyncio.run(run())
    return policy.target


def _ask_for_linger() -> None:
    user = getpass.getuser()
    if Path("/var/lib/systemd/linger", user).exists():
        return
    result = subprocess.run(["loginctl", "enable-linger"], capture_output=True, text=True)
    if result.returncode:
        output.warn(f"your manager ends when you log out; to keep it: sudo loginctl enable-linger {user}")
