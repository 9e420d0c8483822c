"""Message texts of the helpers: for the journal, the status line and the record."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .state.crash_record import Exit

_RESULTS = {
    "timeout": "timeout",
    "watchdog": "watchdog timeout",
    "oom-kill": "out of memory",
    "protocol": "never reported ready",
    "resources": "could not be started",
}


# Exit statuses of systemd for a failure before the program was executed; see systemd.exec(5).
_BEFORE_THE_PROGRAM = {
    "200": "cannot enter its working directory",
    "203": "cannot execute its program: is it there, and executable?",
    "216": "no such group",
    "217": "no such user",
    "226": "cannot set up its sandbox",
}


def seconds(milliseconds: float) -> str:
    """A duration for people: `4 s`, `2.5 s`, `100 ms`."""
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    return f"{milliseconds / 1000:.1f}".removesuffix(".0") + " s"


def exited(status: str) -> str:
    """The end of a program by itself: `exit code 1`."""
    return f"exit code {status}"


def killed(signal: str) -> str:
    """The end of a program by a signal: `signal SEGV`."""
    return f"signal {signal}"


def cause(exit_: Exit) -> str:
    """Why a process ended: `exit code 1`, `signal SEGV`, `watchdog timeout`."""
    if exit_.result in _RESULTS:
        return _RESULTS[exit_.result]
    if exit_.code in ("killed", "dumped") and exit_.result != "exit-code":
        return killed(exit_.status)
    if exit_.code == "exited" and exit_.status in _BEFORE_THE_PROGRAM:
        return _BEFORE_THE_PROGRAM[exit_.status]
    if exit_.code == "exited" and exit_.status != "0":
        return exited(exit_.status)
    if exit_.result == "success":
        return exited("0")
    # The main process did not fail or never ran: a command before or after its start failed.
    return "a start command failed"


def times(count: int, window_ms: int, *, group: bool = False) -> str:
    """The number of crashes in the window, `3 times in 60 s`; empty for a single crash."""
    if count == 1:
        return ""
    what = f"{count} crashes in the group" if group else f"{count} times"
    return f"{what} in {seconds(window_ms)}"


def crashed(cause_: str, often: str) -> str:
    """The first half of a sentence: `crashed (exit code 1), 3 times in 60 s`."""
    return f"crashed ({cause_})" + (f", {often}" if often else "")


def giving_up(restarts: int) -> str:
    """The second half when the crash is final."""
    if restarts == 0:
        return "given up without a restart"
    return f"given up after {restarts} restart{'' if restarts == 1 else 's'}"


# The second half where systemd alone counts.
GIVEN_UP_BY_SYSTEMD = "given up by systemd's start limit"
