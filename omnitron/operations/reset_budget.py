"""A new restart budget for what was given up."""

from __future__ import annotations

from pathlib import Path

from omnitron.errors import NotPermittedError, OmnitronError
from omnitron.observe.report import StackReport
from omnitron.observe.snapshot import record_path
from omnitron.operations.steps import units_to_start
from omnitron.policy.model import Selection
from omnitron.supervision.state import crash_record, group_state, pending_start


def renew(selection: Selection, report: StackReport, records: Path) -> tuple[str, ...]:
    """Forget the crashes of what is meant, and the delays that follow from them; return the units to start then.

    What its group ended with it is among them, and the stack's target when all of it went down. `report` is of
    the stack, `records` the folder of crash records. Raises NotPermittedError or OmnitronError.
    """
    for process in [selection.process] if selection.process else selection.app.processes:
        for service in selection.services if selection.process else process.services:
            path = record_path(records, process, service)
            if path is not None and path.exists():
                _forgive(path, service)
    ended = _ended_with(selection, records)
    units = dict.fromkeys((*units_to_start(selection.app, selection.process, selection.instance), *ended))
    if report.active == "inactive" and (ended or report.ended_by):
        # With its target, all of it is watched over again.
        units[selection.stack.target] = None
    return tuple(units)


def _forgive(path: Path, service: str) -> None:
    try:
        with crash_record.update(path) as content:
            crash_record.forgive(content, service)
        pending_start.remove(str(path), service)
    except PermissionError as error:
        raise NotPermittedError(f"cannot write {path}: permission denied", hint="use sudo") from error
    except OSError as error:
        raise OmnitronError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from error


def _ended_with(selection: Selection, records: Path) -> list[str]:
    """Return the services that the final failure of what is meant took down with it."""
    state = group_state.read(group_state.path_of(records, selection.stack.prefix_part, selection.stack.stem))
    services = set(selection.services)
    ended = [unit for unit, reason in state.reasons.items() if reason.by in services] if state else []
    return [unit for unit in selection.stack.services if unit in ended]
