"""The accounting of one crash: updates the record and decides about the restart. Pure."""

from __future__ import annotations

from .. import messages
from ..light.namedtuple import NamedTuple
from ..state.crash_record import Crash, Exit, Final, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .backoff import Backoff
    from .budget import Budget


class Crashed(NamedTuple):
    """A crash as reported by systemd; `at` is monotonic seconds."""

    unit: str
    at: float
    exit: Exit


class Outcome(NamedTuple):
    """The result of a crash.

    `due` is the time of the next start (monotonic seconds; None for at once or never), `group` is true if crashes
    of other units count too, `line` is the message for the journal.
    """

    attempt: int
    group: bool
    final: bool
    due: float | None
    line: str


def account(record: Record, crash: Crashed, budget: Budget, backoff: Backoff) -> Outcome:
    """Add `crash` to `record` and return the result.

    A final crash empties the list of crashes: a later start by an operator has a new budget.
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
        line = f"{happened}: {messages.giving_up(verdict.attempt - 1)}"
        unit.next, unit.final = None, Final(crash.exit.at, line)
        record.crashes = []
        return Outcome(verdict.attempt, group, True, None, line)
    delay_ms = backoff.delay_ms(verdict.attempt)
    unit.restarts += 1
    unit.next, unit.final = (crash.at + delay_ms / 1000 if delay_ms else None), None
    when = f"next start in {messages.seconds(delay_ms)}" if delay_ms else "starting again"
    return Outcome(verdict.attempt, group, False, unit.next, f"{happened}; {when}")
