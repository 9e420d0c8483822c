"""An operator's stop of what is down already, and would come back with its group."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from omnitron.errors import NotPermittedError, OmnitronError
from omnitron.policy.model import StackPolicy
from omnitron.supervision.state import group_state, operator_stop


def hold(stack: StackPolicy, units: Iterable[str], records: Path) -> None:
    """Have the watcher leave those of `units` down that wait for their group; `records` is the folder of records.

    Raises NotPermittedError or OmnitronError.
    """
    path = group_state.path_of(records, stack.prefix_part, stack.stem)
    try:
        waiting = _pending(path).intersection(units)
        for unit in waiting:
            operator_stop.hold(str(path.parent), unit)
        if waiting:
            # The group may have come back meanwhile: then the stop itself is seen.
            operator_stop.release(str(path.parent), waiting - _pending(path))
    except PermissionError as error:
        raise NotPermittedError(f"cannot write into {path.parent}: permission denied", hint="use sudo") from error
    except OSError as error:
        raise OmnitronError(f"cannot write into {path.parent}: {(error.strerror or str(error)).lower()}") from error


def _pending(path: Path) -> set[str]:
    state = group_state.read(path)
    return set(state.recovery.pending) if state else set()
