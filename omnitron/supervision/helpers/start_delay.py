"""Before a restart after a crash: wait until it is due."""

from __future__ import annotations

import signal
import sys
import time

from .. import notify
from ..light import arguments, systemctl
from ..state import pending_start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# How often systemd hears that this start is still going on, and how much longer each time.
BEAT_S, EXTENSION_S = 5.0, 15.0
# How soon `omnitron reset`, which removes what is noted, ends the wait.
LOOK_S = 0.5
# How long before the end the record is brought up to date, so that the start is not late.
TIDY_S = 0.05


def main(argv: Sequence[str]) -> int:
    """The process's exit status, 0: a start must not fail because of its helper."""
    # Held back from here on: a stop ends the wait, and its traces are removed all the same.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        (unit,), given, _ = arguments.parse(argv, flags=["--user"])
        _wait_until_due(unit, given)
    except Exception as error:
        print(f"cannot wait before this start: {error}", file=sys.stderr)
    return 0


def _wait_until_due(unit: str, given: dict[str, str]) -> None:
    noted = pending_start.read(given["--record"], unit)
    # A damaged file must not hold a unit for longer than the policy ever would.
    at = min(noted.at, time.monotonic() + _longest_s(given["--backoff"]))
    is_over = False
    try:
        if at - time.monotonic() > TIDY_S:
            asked = systemctl.show(unit, ["NRestarts"], user="--user" in given)
            happened = _sentence(noted, int(given["--window"]))
            # 0 when an operator starts the unit: what a stop in the middle of a delay left behind is void.

            def is_noted() -> bool:
                return pending_start.is_noted(given["--record"], unit)

            is_over = asked.get("NRestarts") == "0" or _ended_while_telling(at - TIDY_S, at, happened, is_noted)
    finally:
        _tidy(unit, given["--record"])
    if not is_over:
        _stopped_before(at)


def _longest_s(backoff: str) -> float:
    from ..rules.backoff import Backoff  # here and below: 0.4 ms in all, once signals are held back

    return Backoff.parse(backoff).max_ms / 1000


def _sentence(noted: pending_start.Due, window_ms: int) -> str:
    from .. import messages

    often = messages.times(noted.attempt, window_ms, group=noted.group)
    return often if noted.group else f"crashed {often}".rstrip()


def _ended_while_telling(until: float, at: float, happened: str, is_noted: Callable[[], bool]) -> bool:
    """Wait until `until` and keep systemd patient; monotonic seconds.

    True as soon as the unit is stopped, or is to be waited for no more.
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
