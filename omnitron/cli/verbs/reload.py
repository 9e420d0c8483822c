"""`omnitron reload`: replace what runs by itself, without losing a request."""

from __future__ import annotations

from dataclasses import replace

import typer

from omnitron.cli import job_results, output, progress
from omnitron.cli.arguments import Debug, Json, OptionalApp, User
from omnitron.cli.selection import is_user_scope, select
from omnitron.operations import apps


def reload_command(app: OptionalApp = None, user: User = False, json: Json = False, debug: Debug = False) -> None:
    """Restart an app one instance at a time, each once the one before it is healthy; all apps without an argument.

    systemd holds the sockets of a process with a module: what comes meanwhile is served by the other
    instances, or waits. The first that does not become healthy ends it: the others run on as they were.
    """
    is_user = is_user_scope(user)
    outcome = apps.reload(select(app, is_user=is_user), is_user=is_user, progress=progress.show)
    if not outcome.done and not outcome.failed and not output.wants_json():
        output.note("nothing of it runs: there is nothing to reload")
    # In text, each unit was printed when it was done.
    job_results.finish("reloaded", outcome if output.wants_json() else replace(outcome, done=()))
    if not outcome.done:
        raise typer.Exit(1)
