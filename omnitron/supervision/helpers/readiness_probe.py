"""Waits until a service answers its probe: ExecStartPost= of a service that cannot say it is ready."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Sequence

from .. import probes
from ..light import arguments
from ..light.namedtuple import NamedTuple
from ..messages import seconds

FIRST_PAUSE_S, LAST_PAUSE_S, GROWTH = 0.05, 0.5, 1.5
GONE = "its main process is gone"


class Probe(NamedTuple):
    """What to try, for how long altogether and for each attempt (seconds), and its name for the message."""

    label: str
    attempt: probes.Attempt
    deadline_s: float
    limit_s: float


def main(argv: Sequence[str]) -> int:
    """The process's exit status: 0 ready; 1 not ready, with one line on stderr; 2 wrong usage."""
    try:
        probe = parse(argv)
    except (KeyError, ValueError) as error:
        print(f"cannot probe: {error}", file=sys.stderr)
        return 2
    try:
        trouble = wait(probe, _main_process())
    except ProcessLookupError:
        trouble = f"not ready, {GONE}"
    if trouble:
        print(trouble, file=sys.stderr)
    return 1 if trouble else 0


def parse(argv: Sequence[str]) -> Probe:
    """The probe of a command line; KeyError or ValueError when it is not one."""
    words, given, command = arguments.parse(argv, rest=["--command"])
    deadline_s, limit_s = (int(given.pop(name)) / 1000 for name in ("--deadline-ms", "--timeout-ms"))
    if words or len(given) != 1:
        raise ValueError("one of --http, --jsonrpc, --tcp, --command")
    ((kind, target),) = given.items()
    if kind == "--command":
        return Probe(f"command {' '.join(command)}"[:200], probes.command(command), deadline_s, limit_s)
    attempt = probes.KINDS[kind.removeprefix("--")](target)
    return Probe(f"{kind.removeprefix('--')} {target}", attempt, deadline_s, limit_s)


def wait(probe: Probe, watch: int = -1) -> str | None:
    """Try until the service answers: None then, else why not.

    `watch` is a descriptor that becomes readable when the service's main process ends.
    """
    give_up = time.monotonic() + probe.deadline_s
    pause, reason = FIRST_PAUSE_S, ""
    # An attempt cut down to nothing by the deadline would say less than the one before.
    while (left := give_up - time.monotonic()) > FIRST_PAUSE_S or not reason:
        answer = probe.attempt(min(probe.limit_s, max(left, FIRST_PAUSE_S)), watch)
        if _readable(watch, 0 if answer is None else min(pause, give_up - time.monotonic())):
            return f"not ready, {GONE}: {probe.label}: {answer or 'answered by another process'}"
        if answer is None:
            return None
        pause, reason = min(pause * GROWTH, LAST_PAUSE_S), answer
    return f"not ready after {seconds(probe.deadline_s * 1000)}: {probe.label}: {reason}"


def _main_process() -> int:
    """A descriptor to watch the service's main process by; -1 where there is none to watch."""
    pid = os.environ.get("MAINPID", "")
    try:
        return os.pidfd_open(int(pid)) if pid.isdecimal() else -1
    except ProcessLookupError:
        raise
    except OSError:  # a sandbox that forbids it
        return -1


def _readable(descriptor: int, limit_s: float) -> bool:
    ready, _, _ = select.select([descriptor] if descriptor >= 0 else [], [], [], max(0.0, limit_s))
    return bool(ready)
