"""`omnitron reset`: a new budget for what was given up."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from omnitron.cli import jobs
from omnitron.cli.arguments import App, Debug, Json, User
from omnitron.cli.stacks import is_user_scope, reports, scopes, targets
from omnitron.errors import NotPermittedError, OmnitronError

if TYPE_CHECKING:
    from omnitron.observe.policies import Target


def reset_command(app: App, user: User = False, json: Json = False, debug: Debug = False) -> None:
    """Give an app, a process or an instance a new restart budget, and start it.

    Its crashes so far no longer count, and a delay is not waited for. What its group ended with it starts too.
    """
    from omnitron.control.steps import Step, units_to_start

    is_user = is_user_scope(user)
    records = scopes(is_user)[0].records
    wanted = targets(app, is_user=is_user)
    units: dict[str, None] = {}
    for one in wanted:
        _forgive(one, records)
        units |= dict.fromkeys(units_to_start(one.app, one.process, one.instance))
        ended = _ended_with(one, records)
        units |= dict.fromkeys(ended)
        (report,) = reports([one.stack], is_user=is_user)
        if report.active == "inactive" and (ended or report.ended_by):
            # The failure took the whole stack down: with its target, all of it is watched over again.
            units[one.stack.target] = None
    failed = jobs.carry_out([Step("start", tuple(units), "a new budget")], is_user=is_user, reset=True)
    done = [str(one.address) for one in wanted] if not failed else []
    jobs.finish("reset", done, failed, [one.stack for one in wanted], is_user=is_user)


def _forgive(one: Target, records: Path) -> None:
    """Forget the crashes of what is meant, and the delays that follow from them."""
    from omnitron.observe.readings import record_path
    from omnitron.supervision import due, record

    for process in [one.process] if one.process else one.app.processes:
        for service in one.services if one.process else process.services:
            path = record_path(records, process, service)
            if path is None or not path.exists():
                continue
            try:
                with record.update(path) as content:
                    record.forgive(content, service)
                due.remove(str(path), service)
            except PermissionError as error:
                raise NotPermittedError(f"cannot write {path}: permission denied", hint="use sudo") from error
            except OSError as error:
                raise OmnitronError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from error


def _ended_with(one: Target, records: Path) -> list[str]:
    """Return the services that the final failure of what is meant took down with it."""
    from omnitron.supervision import memory

    found = memory.read(memory.path_of(records, one.stack.prefix_part, one.stack.stem))
    services = set(one.services)
    ended = [unit for unit, reason in found.reasons.items() if reason.by in services] if found else []
    return [unit for unit in one.stack.services if unit in ended]
