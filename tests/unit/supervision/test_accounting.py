import pytest

from omnitron.supervision.rules.accounting import Crashed, Outcome, account
from omnitron.supervision.rules.backoff import Backoff
from omnitron.supervision.rules.budget import Budget
from omnitron.supervision.state.crash_record import Crash, Exit, Final, Record

API, WORKER = "omnitron-dev-api.service", "omnitron-dev-worker.service"
BUDGET, BACKOFF = Budget(5, 60_000), Backoff("exponential", 1000, 30_000, 2)
EXIT = Exit(1764000000.0, "exit-code", "exited", "1")


def crash(record: Record, at: float, unit: str = API, budget: Budget = BUDGET, backoff: Backoff = BACKOFF) -> Outcome:
    return account(record, Crashed(unit, at, EXIT), budget, backoff)


def test_the_first_crash() -> None:
    record = Record()
    outcome = crash(record, 100.0)
    assert outcome == Outcome(1, False, False, 101.0, "crashed (exit code 1); next start in 1 s")
    assert record.crashes == [Crash(100.0, API)]
    unit = record.units[API]
    assert (unit.restarts, unit.next, unit.last_exit, unit.final) == (1, 101.0, EXIT, None)


def test_a_crash_loop_to_its_end() -> None:
    record, now, lines = Record(), 100.0, []
    while True:
        outcome = crash(record, now)
        lines.append(outcome.line)
        if outcome.due is None:
            break
        now = outcome.due
    assert lines == [
        "crashed (exit code 1); next start in 1 s",
        "crashed (exit code 1), 2 times in 60 s; next start in 2 s",
        "crashed (exit code 1), 3 times in 60 s; next start in 4 s",
        "crashed (exit code 1), 4 times in 60 s; next start in 8 s",
        "crashed (exit code 1), 5 times in 60 s; next start in 16 s",
        "crashed (exit code 1), 6 times in 60 s: given up after 5 restarts",
    ]
    assert now == 131.0
    assert outcome.final
    unit = record.units[API]
    assert (unit.restarts, unit.next, unit.final) == (5, None, Final(EXIT.at, lines[-1]))


def test_whoever_starts_again_has_a_fresh_budget() -> None:
    record = Record()
    for at in range(6):
        crash(record, 100.0 + at)
    assert record.crashes == []
    outcome = crash(record, 106.0)
    assert (outcome.attempt, outcome.final) == (1, False)
    assert record.units[API].final is None
    assert record.units[API].restarts == 6


@pytest.mark.parametrize("every", [12, 15, 30])
def test_rare_crashes_never_end_it(every: float) -> None:
    record, attempts = Record(), set()
    for n in range(500):
        outcome = crash(record, 100.0 + n * every * 1.001)
        assert not outcome.final
        attempts.add(outcome.attempt)
    assert max(attempts) == -(-60 // every)
    assert len(record.crashes) <= 5
    assert record.units[API].restarts == 500


def test_the_delay_falls_back_as_the_window_empties() -> None:
    record = Record()
    assert [crash(record, at).due for at in (100, 102, 104)] == [101, 104, 108]
    assert crash(record, 164.5).due == 165.5


def test_a_group_shares_the_budget() -> None:
    record = Record()
    for at in range(5):
        assert not crash(record, 100.0 + at, WORKER if at % 2 else API).final
    outcome = crash(record, 105.0, WORKER)
    assert outcome.group
    assert outcome.line == "crashed (exit code 1), 6 crashes in the group in 60 s: given up after 5 restarts"
    assert record.units[API].final is None
    assert (record.units[API].restarts, record.units[WORKER].restarts) == (3, 2)


def test_two_crashes_recorded_in_the_other_order() -> None:
    record = Record()
    crash(record, 100.2, WORKER)
    assert crash(record, 100.1, API).attempt == 2
    assert record.crashes == [Crash(100.1, API), Crash(100.2, WORKER)]


def test_no_delay_starts_at_once() -> None:
    outcome = crash(Record(), 100.0, backoff=Backoff("fixed", 0, 0))
    assert (outcome.due, outcome.line) == (None, "crashed (exit code 1); starting again")


def test_no_restarts_at_all() -> None:
    outcome = crash(Record(), 100.0, budget=Budget(0, 60_000))
    assert (outcome.final, outcome.line) == (True, "crashed (exit code 1): given up without a restart")
