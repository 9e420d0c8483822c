"""What one crash does to the record: the only writer of verdicts, and pure."""

from __future__ import annotations

from .. import messages
from ..light.namedtuple import NamedTuple
from ..state.crash_record import Crash, Exit, Final, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .backoff import Backoff
    from .budget import Budget


class Crashed(NamedTuple):
    """A crash as systemd tells it; `at` is monotonic seconds."""

    unit: str
    at: float
    exit: Exit


class Outcome(NamedTuple):
    """What follows.

    `due` is when the next start is due (monotonic seconds, None for at once or never), `group` whether
    crashes of other units counted too, `line` the sentence for the journal.
    """

    attempt: int
    group: bool
    final: bool
    due: float | None
    line: str


def account(record: Record, crash: Crashed, budget: Budget, backoff: Backoff) -> Outcome:
    """Note `crash` in `record` and say what follows.

    A final crash empties the list of crashes: whoever starts the unit again starts with a fresh budget.
    """
    verdict = budget.judge([earlier.at for earlier in record.crashes], crash.at)
    start = budget.window_start(crash.at)
    record.crashes = sorted([*(c for c in record.crashes if c.at >= start), Crash(crash.at, crash.unit)])
    group = any(earlier.unit != crash.unit for earlier in record.crashes)
    happened = messages.crashed(
        messages.cause(crash.exit), messages.times(verdict.attempt, budget.window_ms, group=group)
    )
    unit = record.unit(crash.unit)
    unit.last_exit = crash.exit
    if verdict.final:
        line = f"{happened}: {messages.given_up(verdict.attempt - 1)}"
        unit.next, unit.final = None, Final(crash.exit.at, line)
        record.crashes = []
        return Outcome(verdict.attempt, group, True, None, line)
    delay_ms = backoff.delay_ms(verdict.attempt)
    unit.restarts += 1
    unit.next, unit.final = (crash.at + delay_ms / 1000 if delay_ms else None), None
    when = f"next start in {messages.seconds(delay_ms)}" if delay_ms else "starting again"
    return Outcome(verdict.attempt, group, False, unit.next, f"{happened}; {when}")
