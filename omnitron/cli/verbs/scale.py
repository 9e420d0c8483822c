"""`omnitron scale`: more or fewer instances of a pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from omnitron.cli import job_results
from omnitron.cli.arguments import App, Debug, Json, User
from omnitron.cli.selection import is_user_scope, reports, targets
from omnitron.errors import UsageError

if TYPE_CHECKING:
    from omnitron.operations.steps import Step
    from omnitron.policy.model import ProcessPolicy, Selection

Count = Annotated[int, typer.Argument(metavar="N", min=1, max=1000, help="How many instances shall run.")]


def scale_command(app: App, count: Count, user: User = False, json: Json = False, debug: Debug = False) -> None:
    """Start or stop instances of a pool until N of them run.

    Holds until the stack starts anew, or `omnitron up` returns to what the definition says.
    """
    is_user = is_user_scope(user)
    (one,) = targets(app, is_user=is_user)
    process = _pool(one)
    steps = _steps(one, process, count, is_user=is_user)
    failed = job_results.carry_out(steps, is_user=is_user, reset=True)
    names = [f"{one.stack.stack}/{one.app.name}:{process.name} to {count}"] if not failed else []
    job_results.finish("scaled", names, failed, [one.stack], is_user=is_user)


def _pool(one: Selection) -> ProcessPolicy:
    pools = [process for process in one.app.processes if process.instances is not None]
    if one.process is not None:
        pools = [process for process in pools if process == one.process]
    if len(pools) != 1:
        hint = "give it `instances` or `scaling` in the definition" if not pools else "name one of its processes"
        many = "it is not a pool" if not pools else f"it has {len(pools)} pools"
        raise UsageError(f"cannot scale {one.address}: {many}", hint=hint)
    return pools[0]


def _steps(one: Selection, process: ProcessPolicy, count: int, *, is_user: bool) -> list[Step]:
    from omnitron.operations.steps import Step

    (report,) = reports([one.stack], is_user=is_user)
    running = [s.instance for app in report.apps for p in app.processes if p.policy == process for s in p.services]
    wanted = tuple(process.service(number) for number in range(1, count + 1))
    surplus = tuple(process.service(number) for number in running if number is not None and not 1 <= number <= count)
    steps = [Step("start", (*process.sockets, *wanted), "asked for")]
    return [*steps, Step("stop", surplus, "asked for")] if surplus else steps
