"""`omnitron reload`: replace what runs by itself, without losing a request."""

from __future__ import annotations

import typer

from omnitron.cli import job_results, output
from omnitron.cli.arguments import Debug, Json, OptionalApp, User
from omnitron.cli.selection import is_user_scope, targets


def reload_command(app: OptionalApp = None, user: User = False, json: Json = False, debug: Debug = False) -> None:
    """Restart an app one instance at a time, each once the one before it is healthy; all apps without an argument.

    systemd holds the sockets of a process with a module: what comes meanwhile is served by the other
    instances, or waits. The first that does not become healthy ends it: the others run on as they were.
    """
    from omnitron.operations.steps import reload_steps

    is_user = is_user_scope(user)
    wanted = targets(app, is_user=is_user)
    running = job_results.running(wanted, is_user=is_user)
    done: list[str] = []
    for step in reload_steps(wanted, running):
        failed = job_results.carry_out([step], is_user=is_user, reset=True)
        if failed:
            job_results.finish("reloaded", done, failed, [one.stack for one in wanted], is_user=is_user)
        done += step.units
        if not output.wants_json():
            output.progress(f"reloaded {' '.join(step.units)}")
    if not done and not output.wants_json():
        output.note("nothing of it runs: there is nothing to reload")
    if output.wants_json():
        job_results.finish("reloaded", done, [], [one.stack for one in wanted], is_user=is_user)
    if not done:
        raise typer.Exit(1)
