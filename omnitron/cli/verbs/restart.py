"""`omnitron restart`: stop and start apps."""

from __future__ import annotations

from omnitron.cli import job_results
from omnitron.cli.arguments import Debug, Json, OptionalApp, User
from omnitron.cli.selection import is_user_scope, select
from omnitron.operations import apps


def restart_command(app: OptionalApp = None, user: User = False, json: Json = False, debug: Debug = False) -> None:
    """Restart an app, a process or an instance; without one, every app of the stack, in start order.

    Costs nothing of the restart budget. Returns when it is ready again, or says what is not.
    """
    is_user = is_user_scope(user)
    job_results.finish("restarted", apps.restart(select(app, is_user=is_user), is_user=is_user))
