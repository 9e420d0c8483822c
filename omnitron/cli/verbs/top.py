"""`omnitron top`: a live view of what apps use."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from omnitron.cli import output
from omnitron.cli.arguments import Debug, Json, User
from omnitron.cli.selection import installed, is_user_scope, scopes

Interval = Annotated[float, typer.Option("--interval", "-i", min=0.2, help="Seconds between two looks.")]
Count = Annotated[int | None, typer.Option("--count", "-n", min=1, help="Look this often, then end.")]


def top_command(
    interval: Interval = 2.0, count: Count = None, user: User = False, json: Json = False, debug: Debug = False
) -> None:
    """Show what apps use, the busiest first, again and again until Ctrl-C.

    With --json one line for each look.
    """
    from omnitron.cli.verbs.metrics import show
    from omnitron.operations.watcher_client import ask

    is_user = is_user_scope(user)
    installed(is_user=is_user)
    records = scopes(is_user)[0].records
    looks = 0
    while True:
        data = ask(records, "/metrics.json", is_user=is_user)
        data["apps"] = dict(sorted(data["apps"].items(), key=lambda item: -item[1]["cpu"]))
        if output.wants_json():
            output.data(data)
        else:
            output.clear()
            totals = data["totals"]
            output.progress(f"{totals['cpu']:.1f}% of a CPU, {output.size(totals['memory'])} in all")
            show(data, ask(records, "/history.json", is_user=is_user))
        looks += 1
        if looks == count:
            return
        time.sleep(interval)
