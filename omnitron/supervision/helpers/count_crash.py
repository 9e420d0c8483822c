"""Counts a crash, for `count_crash.sh`, and stops a unit that has used up its restart budget."""

from __future__ import annotations

import os
import sys
import time

from ..light import systemctl
from ..light.arguments import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..rules.accounting import Crashed, Outcome
    from ..rules.backoff import Backoff
    from ..rules.budget import Budget

# Variables that systemd sets for ExecStopPost=, about the run that has ended; see systemd.exec(5).
EXIT_VARIABLES = ("SERVICE_RESULT", "EXIT_CODE", "EXIT_STATUS", "INVOCATION_ID")
# Standard input: count_crash.sh passes the properties Job and ExecMainExitTimestampMonotonic there.
PROPERTIES_INPUT = 0
# Without a record there is no back-off. This pause avoids that the unit reaches the start limit of systemd.
UNRECORDED_PAUSE_S = 1.0
# A shorter delay is spent here: on a busy machine it could be over before the next interpreter has started.
SHORT_S = 0.1
# A unit that is stopped from here keeps the Result of its crash. If systemd regards the crash as a success (a
# signal from outside), the unit becomes failed only if ExecStopPost= itself fails.
MAKE_IT_FAIL = 1


def main(arguments: Sequence[str]) -> int:
    """Return the exit status; never raise, because the unit must be restarted in any case."""
    try:
        (unit,), options, _ = parse(arguments, flags=["--user"])
        return _count(unit, options)
    except Exception as error:
        _unrecorded(error)
        return 0


def _count(unit: str, options: dict[str, str]) -> int:
    user, record = "--user" in options, options["--record"]
    properties = systemctl.Properties(lambda: _read_properties(unit, record))
    # 1 ms, while systemctl works on its answer; and an import that fails must not keep the unit from restarting.
    from ..rules.accounting import Crashed
    from ..rules.backoff import Backoff
    from ..rules.budget import Budget
    from ..state import crash_record

    budget, backoff = Budget.parse(options["--budget"]), Backoff.parse(options["--backoff"])
    if properties.get("Job") and systemctl.job_type(unit, user=user) in ("stop", "restart"):
        _note_stop(unit, record)
        return 0
    exit_ = crash_record.Exit(time.time(), *(os.environ.get(name, "") for name in EXIT_VARIABLES))
    crash = Crashed(unit, _exit_time(properties.get("ExecMainExitTimestampMonotonic")), exit_)
    final = _note(crash, record, budget, backoff)
    if final:
        systemctl.stop(unit, user=user)
    return MAKE_IT_FAIL if final and exit_.result == "success" else 0


def _note_stop(unit: str, path: str) -> None:
    """Note for `critical_check.sh` that the unit failed while it was stopped, so that it is not a final failure."""
    from ..state import run_notes

    try:
        run_notes.stopped(path.rsplit("/", 1)[0], unit, os.environ.get("INVOCATION_ID", ""))
    except OSError as error:
        print(f"<4>cannot note that {unit} was stopped: {error}", file=sys.stderr)


def _read_properties(unit: str, path: str) -> str | None:
    """Return the properties of the ended run: from the note of the watcher, if there is one, else from systemd."""
    from ..state import run_notes

    lines = run_notes.crash_lines(path.rsplit("/", 1)[0], unit, os.environ.get("INVOCATION_ID", ""))
    return lines or systemctl.printed(PROPERTIES_INPUT)


def _note(crash: Crashed, path: str, budget: Budget, backoff: Backoff) -> bool:
    """Record and log the crash; return whether it is final, also if the record cannot be written."""
    from ..rules.accounting import account
    from ..state import crash_record

    outcome = None
    try:
        with crash_record.update(path) as content:
            outcome = account(content, crash, budget, backoff)
        _arrange(outcome, crash.unit, path)
    except OSError as error:
        _unrecorded(error, wait=outcome is None or not outcome.final)
    if outcome:
        # The prefix sets the priority in the journal: err or warning.
        print(f"<{3 if outcome.final else 4}>{outcome.line}", file=sys.stderr)
    return outcome is not None and outcome.final


def _arrange(outcome: Outcome, unit: str, path: str) -> None:
    """Note the rest of the delay for `start_delay.sh`; wait here if it is very short."""
    from ..state import pending_start

    left = (outcome.due or 0.0) - time.monotonic()
    if outcome.final or left > SHORT_S:
        pending_start.write(path, unit, pending_start.Due(outcome.due or 0.0, outcome.attempt, outcome.group))
    elif left > 0:
        time.sleep(left)


def _unrecorded(error: Exception, *, wait: bool = True) -> None:
    print(f"<3>cannot record this crash: {error}", file=sys.stderr)
    if wait:
        time.sleep(UNRECORDED_PAUSE_S)


def _exit_time(exited: str) -> float:
    """Return the time when the main process ended, in monotonic seconds; now, if it never ran."""
    now = time.monotonic()
    at = int(exited) / 1_000_000 if exited.isdigit() else 0.0
    return at if 0 < at <= now else now
