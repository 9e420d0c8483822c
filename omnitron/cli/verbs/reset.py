"""`omnitron reset`: a new budget for what was given up."""

from __future__ import annotations

from omnitron.cli import job_results
from omnitron.cli.arguments import App, Debug, Json, User
from omnitron.cli.selection import is_user_scope, reports, scopes, targets


def reset_command(app: App, user: User = False, json: Json = False, debug: Debug = False) -> None:
    """Give an app, a process or an instance a new restart budget, and start it.

    Its crashes so far no longer count, and a delay is not waited for. What its group ended with it starts too.
    """
    from omnitron.operations.reset_budget import renew
    from omnitron.operations.steps import Step

    is_user = is_user_scope(user)
    wanted = targets(app, is_user=is_user)
    units: dict[str, None] = {}
    for one in wanted:
        (report,) = reports([one.stack], is_user=is_user)
        units |= dict.fromkeys(renew(one, report, scopes(is_user)[0].records))
    failed = job_results.carry_out([Step("start", tuple(units), "a new budget")], is_user=is_user, reset=True)
    done = [str(one.address) for one in wanted] if not failed else []
    job_results.finish("reset", done, failed, [one.stack for one in wanted], is_user=is_user)
