"""`enable` and `disable`: whether a stack starts at boot."""

from __future__ import annotations

import asyncio
import getpass
import subprocess
from pathlib import Path

from omnitron.errors import OmnitronError
from omnitron.operations import audit
from omnitron.operations.installed import scopes
from omnitron.policy.model import InstalledPolicy
from omnitron.systemd.manager import Manager

LINGER = Path("/var/lib/systemd/linger")


def set_at_boot(policy: InstalledPolicy, *, is_user: bool, on: bool) -> None:
    """Enable or disable the target of a stack; OmnitronError for one that a reboot removes."""
    runtime = policy.path.parent == scopes(is_user)[1].policies
    if runtime and on:
        raise OmnitronError(
            f"cannot enable {policy.target}: its units are under /run and gone after a reboot",
            hint="generate without --runtime first",
        )

    async def run() -> None:
        async with Manager(is_user=is_user) as manager:
            await (manager.enable if on else manager.disable)([policy.target], runtime=runtime)

    audit.record_act("enable" if on else "disable", policy)
    asyncio.run(run())


def enable_linger() -> str | None:
    """Let this user's manager run while the user is logged out; return what to do where that is not allowed."""
    user = getpass.getuser()
    if (LINGER / user).exists():
        return None
    result = subprocess.run(["loginctl", "enable-linger"], capture_output=True, check=False)
    return f"sudo loginctl enable-linger {user}" if result.returncode else None
