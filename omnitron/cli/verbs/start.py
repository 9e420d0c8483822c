"""`omnitron start`: start apps, and what was waiting for them."""

from __future__ import annotations

from omnitron.cli import job_results
from omnitron.cli.arguments import Debug, Json, OptionalApp, User
from omnitron.cli.selection import is_user_scope, select
from omnitron.operations import apps


def start_command(app: OptionalApp = None, user: User = False, json: Json = False, debug: Debug = False) -> None:
    """Start an app, a process or an instance; without one, every app of the stack.

    What had been given up gets a new budget. Apps that were blocked by it start too. Returns when it is
    ready, or says what is not.
    """
    is_user = is_user_scope(user)
    selections = select(app, is_user=is_user)
    job_results.finish("started", apps.start(selections, whole_stack=app is None, is_user=is_user))
