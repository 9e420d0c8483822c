"""Waits until a service answers its probe: ExecStartPost= of a service that cannot report readiness itself."""

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
    """A probe to repeat: its name for messages, one attempt, and the time limits in all and for each (seconds)."""

    label: str
    attempt: probes.Attempt
    deadline_s: float
    limit_s: float


def main(argv: Sequence[str]) -> int:
    """Return the exit status: 0 ready; 1 not ready, with one line on stderr; 2 wrong usage."""
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
    """Return the probe of a command line; KeyError or ValueError if it is wrong."""
    words, options, command = arguments.parse(argv, rest=["--command"])
    deadline_s, limit_s = (int(options.pop(name)) / 1000 for name in ("--deadline-ms", "--timeout-ms"))
    if words or len(options) != 1:
        raise ValueError("it needs one of --http, --jsonrpc, --tcp, --command")
    ((kind, target),) = options.items()
    if kind == "--command":
        return Probe(f"command {' '.join(command)}"[:200], probes.command(command), deadline_s, limit_s)
    attempt = probes.KINDS[kind.removeprefix("--")](target)
    return Probe(f"{kind.removeprefix('--')} {target}", attempt, deadline_s, limit_s)


def wait(probe: Probe, watch: int = -1) -> str | None:
    """Try until the service answers; return None then, else the reason.

    `watch` is a descriptor that becomes readable when the main process of the service ends.
    """
    give_up = time.monotonic() + probe.deadline_s
    pause, reason = FIRST_PAUSE_S, ""
    # No attempt in the last moment before the deadline: its reason would be less useful than the previous one.
    while (left := give_up - time.monotonic()) > FIRST_PAUSE_S or not reason:
        answer = probe.attempt(min(probe.limit_s, max(left, FIRST_PAUSE_S)), watch)
        if _readable(watch, 0 if answer is None else min(pause, give_up - time.monotonic())):
            return f"not ready, {GONE}: {probe.label}: {answer or 'answered by another process'}"
        if answer is None:
            return None
        pause, reason = min(pause * GROWTH, LAST_PAUSE_S), answer
    return f"not ready after {seconds(probe.deadline_s * 1000)}: {probe.label}: {reason}"


def _main_process() -> int:
    """Return a descriptor that becomes readable when the main process ends; -1 if there is none to watch."""
    pid = os.environ.get("MAINPID", "")
    try:
        return os.pidfd_open(int(pid)) if pid.isdecimal() else -1
    except ProcessLookupError:
        raise
    except OSError:  # forbidden by a sandbox
        return -1


def _readable(descriptor: int, limit_s: float) -> bool:
    ready, _, _ = select.select([descriptor] if descriptor >= 0 else [], [], [], max(0.0, limit_s))
    return bool(ready)
