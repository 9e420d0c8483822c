"""`omnitron start`: start apps, and what was waiting for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omnitron.cli import job_results
from omnitron.cli.arguments import Debug, Json, OptionalApp, User
from omnitron.cli.selection import is_user_scope, reports, targets

if TYPE_CHECKING:
    from omnitron.operations.steps import Step
    from omnitron.policy.model import Selection


def start_command(app: OptionalApp = None, user: User = False, json: Json = False, debug: Debug = False) -> None:
    """Start an app, a process or an instance; without one, every app of the stack.

    What had been given up gets a new budget. Apps that were blocked by it start too. Returns when it is
    ready, or says what is not.
    """
    from omnitron.operations.steps import Step, units_to_start

    is_user = is_user_scope(user)
    wanted = targets(app, is_user=is_user)
    if app is None:
        steps = [Step("start", (wanted[0].stack.target,), "asked for")] if wanted else []
    else:
        units = tuple(unit for one in wanted for unit in units_to_start(one.app, one.process, one.instance))
        steps = [Step("start", units, "asked for"), *_unblocked(wanted, is_user=is_user)]
    failed = job_results.carry_out(steps, is_user=is_user, reset=True)
    stacks = [one.stack for one in wanted]
    job_results.finish(
        "started", [str(one.address) for one in wanted] if not failed else [], failed, stacks, is_user=is_user
    )


def _unblocked(wanted: list[Selection], *, is_user: bool) -> list[Step]:
    """Return the steps that start what these apps had kept from starting, in a stack that is active."""
    from omnitron.operations.steps import Step, dependents, units_to_start

    steps = []
    for one in wanted:
        (report,) = reports([one.stack], is_user=is_user)
        blocked = {app.policy.name for app in report.apps if app.note == f"blocked by {one.app.name}"}
        if report.active != "active":
            continue
        for app in dependents(one.stack, [one.app.name]):
            if app.name in blocked and app.enabled:
                steps.append(Step("start", units_to_start(app, None, None), f"{one.app.name} had blocked it"))
    return steps
