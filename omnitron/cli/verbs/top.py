"""`omnitron top`: a live view of what apps use."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from omnitron.cli import metrics_table, output
from omnitron.cli.arguments import Debug, Json, User, whole_number
from omnitron.cli.selection import is_user_scope
from omnitron.operations import installed, metrics

Interval = Annotated[float, typer.Option("--interval", "-i", min=0.2, help="Seconds between two looks.")]
Count = Annotated[
    int | None, typer.Option("--count", "-n", parser=whole_number(1), metavar="N", help="Look this often, then end.")
]


def top_command(
    interval: Interval = 2.0, count: Count = None, user: User = False, json: Json = False, debug: Debug = False
) -> None:
    """Show what apps use, the busiest first, again and again until Ctrl-C.

    With --json one line for each look.
    """
    is_user = is_user_scope(user)
    installed.stacks(is_user=is_user)  # says so where nothing is installed
    rounds = 0
    while True:
        data = metrics.busiest_first(metrics.current(is_user=is_user))
        if output.wants_json():
            output.data(data)
        else:
            output.clear()
            totals = data["totals"]
            output.progress(f"{totals['cpu']:.1f}% of a CPU, {output.size(totals['memory'])} in all")
            metrics_table.show(data, metrics.history(is_user=is_user))
        rounds += 1
        if rounds == count:
            return
        time.sleep(interval)
