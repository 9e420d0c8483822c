"""`omnitron stop`: stop apps."""

from __future__ import annotations

from omnitron.cli import job_results
from omnitron.cli.arguments import Debug, Json, OptionalApp, User
from omnitron.cli.selection import is_user_scope, select
from omnitron.operations import apps


def stop_command(app: OptionalApp = None, user: User = False, json: Json = False, debug: Debug = False) -> None:
    """Stop an app with its sockets, a process or an instance; without one, every app of the stack.

    Apps that depend on it are left alone. It stays stopped until somebody starts it, or its stack.
    """
    is_user = is_user_scope(user)
    selections = select(app, is_user=is_user)
    job_results.finish("stopped", apps.stop(selections, whole_stack=app is None, is_user=is_user))
