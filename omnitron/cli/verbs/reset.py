"""`omnitron reset`: a new budget for what was given up."""

from __future__ import annotations

from omnitron.cli import job_results
from omnitron.cli.arguments import App, Debug, Json, User
from omnitron.cli.selection import is_user_scope, select
from omnitron.operations import apps


def reset_command(app: App, user: User = False, json: Json = False, debug: Debug = False) -> None:
    """Give an app, a process or an instance a new restart budget, and start it.

    Its crashes so far no longer count, and a delay is not waited for. What its group ended with it starts too.
    """
    is_user = is_user_scope(user)
    job_results.finish("reset", apps.reset(select(app, is_user=is_user), is_user=is_user))
