"""`omnitron scale`: more or fewer instances of a pool."""

from __future__ import annotations

from typing import Annotated

import typer

from omnitron.cli import job_results
from omnitron.cli.arguments import App, Debug, Json, User, whole_number
from omnitron.cli.selection import is_user_scope, select
from omnitron.operations import apps

Count = Annotated[
    int, typer.Argument(metavar="N", parser=whole_number(1, 1000), help="How many instances shall run, 1 to 1000.")
]


def scale_command(app: App, count: Count, user: User = False, json: Json = False, debug: Debug = False) -> None:
    """Start or stop instances of a pool until N of them run.

    Holds until the stack starts anew, or `omnitron up` returns to what the definition says.
    """
    is_user = is_user_scope(user)
    (selection,) = select(app, is_user=is_user)
    job_results.finish("scaled", apps.scale(selection, count, is_user=is_user))
