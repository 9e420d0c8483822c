"""`omnitron restart`: stop and start apps."""

from __future__ import annotations

from omnitron.cli import job_results
from omnitron.cli.arguments import Debug, Json, OptionalApp, User
from omnitron.cli.selection import is_user_scope, targets


def restart_command(app: OptionalApp = None, user: User = False, json: Json = False, debug: Debug = False) -> None:
    """Restart an app, a process or an instance; without one, every app of the stack, in start order.

    Costs nothing of the restart budget. Returns when it is ready again, or says what is not.
    """
    from omnitron.operations.steps import Step

    is_user = is_user_scope(user)
    wanted = targets(app, is_user=is_user)
    steps = [Step("restart", one.services, "asked for") for one in wanted]
    failed = job_results.carry_out(steps, is_user=is_user, reset=True)
    stacks = [one.stack for one in wanted]
    names = [str(one.address) for one in wanted] if not failed else []
    job_results.finish("restarted", names, failed, stacks, is_user=is_user)
