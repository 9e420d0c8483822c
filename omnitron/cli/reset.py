"""`omnitron reset`: a new budget for what was given up."""

from __future__ import annotations

from omnitron.cli import jobs
from omnitron.cli.arguments import App, Debug, Json, User
from omnitron.cli.stacks import is_user_scope, reports, scopes, targets


def reset_command(app: App, user: User = False, json: Json = False, debug: Debug = False) -> None:
    """Give an app, a process or an instance a new restart budget, and start it.

    Its crashes so far no longer count, and a delay is not waited for. What its group ended with it starts too.
    """
    from omnitron.control.renew import renew
    from omnitron.control.steps import Step

    is_user = is_user_scope(user)
    wanted = targets(app, is_user=is_user)
    units: dict[str, None] = {}
    for one in wanted:
        (report,) = reports([one.stack], is_user=is_user)
        units |= dict.fromkeys(renew(one, report, scopes(is_user)[0].records))
    failed = jobs.carry_out([Step("start", tuple(units), "a new budget")], is_user=is_user, reset=True)
    done = [str(one.address) for one in wanted] if not failed else []
    jobs.finish("reset", done, failed, [one.stack for one in wanted], is_user=is_user)
