"""`omnitron stop`: stop apps."""

from __future__ import annotations

from omnitron.cli import job_results
from omnitron.cli.arguments import Debug, Json, OptionalApp, User
from omnitron.cli.selection import is_user_scope, scopes, surplus, targets


def stop_command(app: OptionalApp = None, user: User = False, json: Json = False, debug: Debug = False) -> None:
    """Stop an app with its sockets, a process or an instance; without one, every app of the stack.

    Apps that depend on it are left alone. It stays stopped until somebody starts it, or its stack.
    """
    from omnitron.operations.operator_stop import hold
    from omnitron.operations.steps import Step, stop_steps, units_to_stop

    is_user = is_user_scope(user)
    wanted = targets(app, is_user=is_user)
    if app is None:
        steps = stop_steps(wanted[0].stack) if wanted else []
    else:
        units = tuple(unit for one in wanted for unit in units_to_stop(one.app, one.process, one.instance))
        steps = [Step("stop", (*units, *surplus(wanted, is_user=is_user)), "asked for")]
        for one in wanted:
            hold(one.stack, units, scopes(is_user)[0].records)
    failed = job_results.carry_out(steps, is_user=is_user)
    stacks = [one.stack for one in wanted]
    job_results.finish(
        "stopped", [str(one.address) for one in wanted] if not failed else [], failed, stacks, is_user=is_user
    )
