"""`omnitron metrics`: what apps use, now and over time."""

from __future__ import annotations

from omnitron.cli import metrics_table, output
from omnitron.cli.arguments import Debug, Json, OptionalApp, User
from omnitron.cli.selection import is_user_scope, select
from omnitron.operations import installed, metrics


def metrics_command(app: OptionalApp = None, user: User = False, json: Json = False, debug: Debug = False) -> None:
    """Show CPU, memory, tasks, pending calls, disk traffic and restarts of apps and of each of their processes.

    CPU is the share of one CPU over the last interval; calls are those that a process host is serving. The watcher
    takes the figures and keeps them for `monitoring.metrics.retention`.
    """
    is_user = is_user_scope(user)
    installed.stacks(is_user=is_user)  # says so where nothing is installed
    data = metrics.current(is_user=is_user)
    if app is not None:
        (selection,) = select(app, is_user=is_user)
        data = metrics.of_app(data, selection)
    if output.wants_json():
        output.data(data)
        return
    metrics_table.show(data, metrics.history(is_user=is_user))
