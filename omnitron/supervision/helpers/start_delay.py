"""Waits before a restart after a crash until the restart is due."""

from __future__ import annotations

import signal
import sys
import time

from .. import notify
from ..light import systemctl
from ..light.arguments import parse
from ..state import pending_start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Interval between two messages to systemd that extend the start timeout, and the extension of each.
BEAT_S, EXTENSION_S = 5.0, 15.0
# Interval between two looks for the note: `omnitron reset` removes it to end the wait.
LOOK_S = 0.5
# The record is updated this long before the end, so that the start is not late.
TIDY_S = 0.05


def main(arguments: Sequence[str]) -> int:
    """Return the exit status 0: a start must not fail because of its helper."""
    # SIGTERM is blocked from here on and waited for: a stop ends the wait, and the note is removed in any case.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        (unit,), options, _ = parse(arguments, flags=["--user"])
        _wait_until_due(unit, options)
    except Exception as error:
        print(f"cannot wait before this start: {error}", file=sys.stderr)
    return 0


def _wait_until_due(unit: str, options: dict[str, str]) -> None:
    record = options["--record"]
    pending = pending_start.read(record, unit)
    # A damaged file must not delay a unit for longer than the longest delay of the policy.
    at = min(pending.at, time.monotonic() + _longest_s(options["--backoff"]))
    is_over = False
    try:
        if at - time.monotonic() > TIDY_S:
            properties = systemctl.show(unit, ["NRestarts"], user="--user" in options)
            happened = _sentence(pending, int(options["--window"]))

            def is_noted() -> bool:
                return pending_start.is_noted(record, unit)

            # NRestarts is 0 when an operator starts the unit: a note from before, left by a stop, does not apply.
            is_over = properties.get("NRestarts") == "0" or _ended_early(at - TIDY_S, at, happened, is_noted)
    finally:
        _tidy(unit, record)
    if not is_over:
        _stopped_before(at)


def _longest_s(backoff: str) -> float:
    from ..rules.backoff import Backoff  # here and below: 0.4 ms in all, once signals are held back

    return Backoff.parse(backoff).max_ms / 1000


def _sentence(pending: pending_start.Due, window_ms: int) -> str:
    from .. import messages

    often = messages.times(pending.attempt, window_ms, group=pending.group)
    return often if pending.group else f"crashed {often}".rstrip()


def _ended_early(until: float, at: float, happened: str, is_noted: Callable[[], bool]) -> bool:
    """Wait until `until` (monotonic seconds), and extend the start timeout of systemd meanwhile.

    Return True as soon as the unit is stopped, or the note is removed.
    """
    from ..messages import seconds

    is_over = False
    while not is_over and (now := time.monotonic()) < until:
        notify.send(
            f"STATUS={happened}, next start in {seconds((at - now) * 1000)}",
            f"EXTEND_TIMEOUT_USEC={EXTENSION_S * 1_000_000:.0f}",
        )
        beat = min(until, now + BEAT_S)
        while not is_over and time.monotonic() < beat:
            is_over = _stopped_before(min(beat, time.monotonic() + LOOK_S)) or not is_noted()
    notify.send("STATUS=")
    return is_over


def _stopped_before(moment: float) -> bool:
    left = moment - time.monotonic()
    return left > 0 and signal.sigtimedwait([signal.SIGTERM], left) is not None


def _tidy(unit: str, path: str) -> None:
    from ..state import crash_record

    pending_start.remove(path, unit)
    with crash_record.update(path) as content:
        state = content.unit(unit)
        state.next = state.final = None
