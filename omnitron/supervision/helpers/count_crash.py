"""After a unit's end that `count_crash.sh` takes for a crash: count it, and end a crash loop."""

from __future__ import annotations

import os
import sys
import time

from ..light import arguments, systemctl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..rules.accounting import Crashed, Outcome
    from ..rules.backoff import Backoff
    from ..rules.budget import Budget

# What systemd tells an ExecStopPost= of the run that has ended, see systemd.exec(5).
TOLD = ("SERVICE_RESULT", "EXIT_CODE", "EXIT_STATUS", "INVOCATION_ID")
# Standard input: there count_crash.sh gives the properties Job and ExecMainExitTimestampMonotonic.
ANSWER = 0
# Without a record there is no delay either; the pause keeps the native start limit from ending the unit.
UNRECORDED_PAUSE_S = 1.0
# A wait that could be over before the next interpreter is ready, on a busy machine, is spent here.
SHORT_S = 0.1
# systemd keeps the Result of the crash when a unit is stopped from here. A crash that it takes for a
# success (a signal from outside) becomes a failure only when ExecStopPost= itself fails.
MAKE_IT_FAIL = 1


def main(argv: Sequence[str]) -> int:
    """The process's exit status; never an exception, for whatever happens the unit must be restarted."""
    try:
        (unit,), given, _ = arguments.parse(argv, flags=["--user"])
        return _count(unit, given)
    except Exception as error:
        _unrecorded(error)
        return 0


def _count(unit: str, given: dict[str, str]) -> int:
    user = "--user" in given
    asked = systemctl.Properties(lambda: _answer(unit, given["--record"]))
    # 1 ms, while systemd answers; and a file that cannot be imported must not keep the unit from restarting.
    from ..rules.accounting import Crashed
    from ..rules.backoff import Backoff
    from ..rules.budget import Budget
    from ..state import crash_record

    budget, backoff = Budget.parse(given["--budget"]), Backoff.parse(given["--backoff"])
    if asked.get("Job") and systemctl.job_type(unit, user=user) in ("stop", "restart"):
        _note_stop(unit, given["--record"])
        return 0
    exit_ = crash_record.Exit(time.time(), *(os.environ.get(name, "") for name in TOLD))
    crash = Crashed(unit, _when(asked.get("ExecMainExitTimestampMonotonic")), exit_)
    final = _note(crash, given["--record"], budget, backoff)
    if final:
        systemctl.stop(unit, user=user)
    return MAKE_IT_FAIL if final and exit_.result == "success" else 0


def _note_stop(unit: str, path: str) -> None:
    """Tell `critical_check.sh` that what failed was a stop; without that word it is taken for final."""
    from ..state import run_notes

    try:
        run_notes.stopped(path.rsplit("/", 1)[0], unit, os.environ.get("INVOCATION_ID", ""))
    except OSError as error:
        print(f"<4>cannot note that {unit} was stopped: {error}", file=sys.stderr)


def _answer(unit: str, path: str) -> str | None:
    """What systemd says of the end, in the watcher's words where it was late for `count_crash.sh`."""
    from ..state import run_notes

    told = run_notes.crash_lines(path.rsplit("/", 1)[0], unit, os.environ.get("INVOCATION_ID", ""))
    return told or systemctl.printed(ANSWER)


def _note(crash: Crashed, path: str, budget: Budget, backoff: Backoff) -> bool:
    """Write it down and say so; whether it is final, which holds even where there is no space to write."""
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
        # The journal takes the priority from the mark: err, or warning.
        print(f"<{3 if outcome.final else 4}>{outcome.line}", file=sys.stderr)
    return outcome is not None and outcome.final


def _arrange(outcome: Outcome, unit: str, path: str) -> None:
    """Leave the rest of the delay to `start_delay.sh`, or sit out what is next to nothing."""
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


def _when(exited: str) -> float:
    """When the main process ended; monotonic seconds. Now, if it never ran."""
    now = time.monotonic()
    at = int(exited) / 1_000_000 if exited.isdigit() else 0.0
    return at if 0 < at <= now else now
