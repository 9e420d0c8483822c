import pytest

from omnitron.supervision import messages
from omnitron.supervision.state.crash_record import Exit


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(1, "1 ms"), (999, "999 ms"), (1000, "1 s"), (1500, "1.5 s"), (3996, "4 s"), (30_000, "30 s"), (90_000, "90 s")],
)
def test_seconds(milliseconds: float, text: str) -> None:
    assert messages.seconds(milliseconds) == text


@pytest.mark.parametrize(
    ("result", "code", "status", "text"),
    [
        ("exit-code", "exited", "1", "exit code 1"),
        ("signal", "killed", "KILL", "signal KILL"),
        ("core-dump", "dumped", "SEGV", "signal SEGV"),
        ("timeout", "killed", "TERM", "timeout"),
        ("watchdog", "dumped", "ABRT", "watchdog timeout"),
        ("oom-kill", "killed", "KILL", "out of memory"),
        ("protocol", "exited", "0", "never reported ready"),
        ("success", "killed", "TERM", "signal TERM"),
        ("success", "exited", "143", "exit code 143"),
        ("success", "exited", "0", "exit code 0"),
        # A readiness probe failed, and systemd ended the main process.
        ("exit-code", "killed", "TERM", "a start command failed"),
        ("exit-code", "", "", "a start command failed"),
    ],
)
def test_cause(result: str, code: str, status: str, text: str) -> None:
    assert messages.cause(Exit(0, result, code, status)) == text


def test_given_up() -> None:
    assert [messages.giving_up(n) for n in (0, 1, 5)] == [
        "given up without a restart",
        "given up after 1 restart",
        "given up after 5 restarts",
    ]
