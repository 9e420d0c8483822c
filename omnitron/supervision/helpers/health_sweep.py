"""One round of health probes: everything of a stack that is asked at the same interval, side by side.

A process that has failed `retries` times in a row is unhealthy: its main process gets SIGABRT, and SIGKILL at the
next round, so that the native path restarts it, and budget, delay and strategy count it like any other crash.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import suppress
from threading import Thread

from .. import probes as attempts
from ..light import arguments, systemctl
from ..state import health_results
from ..state import probes as probe_files
from ..state.probes import Probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LOOKED_UP = ("InvocationID", "MainPID", "ExecMainStartTimestampMonotonic")
AT_ONCE = 16
"""Probes that run at the same time."""


class NobodyToAsk(Exception):  # noqa: N818 - nothing is wrong
    """systemd does not say which process it is about: while it starts anew it answers nothing."""


def main(argv: Sequence[str]) -> int:
    """`[--user] --probes PATH --results PATH`. The exit status: 0, or 1 when it could not be done."""
    try:
        _, options, _ = arguments.parse(argv, flags=["--user"])
        if "--probes" not in options:
            raise ValueError("the unit was made by an older omnitron; `omnitron generate` makes it again")
        user = "--user" in options
        stack = probe_files.read(options["--probes"])
        _sweep(list(running(stack.probes, _active(stack.stem, user=user))), options["--results"], user=user)
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"<3>cannot check health: {error}", file=sys.stderr)
        return 1
    return 0


def _active(stem: str, *, user: bool) -> list[str]:
    """The services of the stack that are active: what is starting or stopping is not asked."""
    query = ["list-units", "--full", "--output=json", "--state=active", "--", f"{stem}-*.service"]
    # No answer at all is an error: an empty list would forget what failed so far.
    return [row["unit"] for row in json.loads(systemctl.Question(query, user=user).answer())]


def running(probes: Iterable[Probe], active: Iterable[str]) -> Iterable[Probe]:
    """The probes of the services that are active, those of a pool for each instance."""
    active = list(active)
    for probe in probes:
        stem, at, suffix = probe.unit.partition("@.")
        for unit in active:
            if unit == probe.unit or (at and unit.startswith(f"{stem}@") and unit.endswith(f".{suffix}")):
                yield Probe(unit, *probe[1:])


def _sweep(probes: Sequence[Probe], results: str, *, user: bool) -> None:
    began_us = time.monotonic_ns() // 1000
    answers = ask(probes, user=user)
    # Looked up for the few that failed: a restart since then has a clean slate.
    failed = [unit for unit, trouble in answers.items() if trouble is not None]
    properties = {unit: systemctl.show(unit, LOOKED_UP, user=user) for unit in failed}
    before = health_results.read(results)
    after: dict[str, health_results.Result] = {}
    for probe in probes:
        if probe.unit not in answers:
            if probe.unit in before:
                after[probe.unit] = before[probe.unit]
            continue
        trouble, current = answers[probe.unit], properties.get(probe.unit)
        if current and not _counts(probe, current, began_us):
            continue
        invocation = current.get("InvocationID") if current else ""
        result = health_results.judged(before.get(probe.unit), trouble, invocation, time.time())
        if current and result.failures >= probe.retries:
            print(f"<3>{probe.unit} is unhealthy, {result.failures} checks failed: {result.message}", file=sys.stderr)
            _end(int(current.get("MainPID") or 0), is_last=result.failures > probe.retries)
        after[probe.unit] = result
    health_results.write(results, after)


def _counts(probe: Probe, current: systemctl.Properties, began_us: int) -> bool:
    """Return whether a failure is one of the process that runs now, and that has had its time to start.

    Another may have taken its place while it was asked.
    """
    started = current.get("ExecMainStartTimestampMonotonic")
    return started.isdigit() and int(started) + probe.start_period_ms * 1000 < began_us


def _end(pid: int, *, is_last: bool) -> None:
    """End the process that was asked; one that is still there at the next round has no choice.

    By its number, not by its unit: that may have another process by now, which nobody has asked.
    """
    if pid <= 1:
        return
    # A process that somebody has stopped takes SIGABRT when it goes on.
    for number in [signal.SIGKILL] if is_last else [signal.SIGABRT, signal.SIGCONT]:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def ask(probes: Sequence[Probe], *, user: bool) -> dict[str, str | None]:
    """The answer of each that could be asked: None when it is healthy, else why not."""
    waiting, answers = list(reversed(probes)), dict[str, "str | None"]()

    def work() -> None:
        while True:
            try:
                probe = waiting.pop()
            except IndexError:
                return
            with suppress(NobodyToAsk):
                answers[probe.unit] = _answer(probe, user=user)

    workers = [Thread(target=work) for _ in range(min(AT_ONCE, len(probes)))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return answers


def _answer(probe: Probe, *, user: bool) -> str | None:
    try:
        return _attempt(probe, user=user)(probe.timeout_ms / 1000, -1)
    except NobodyToAsk:
        raise
    except Exception as error:  # whatever it is, the others are asked
        return str(error)


def _attempt(probe: Probe, *, user: bool) -> attempts.Attempt:
    if probe.kind == "command":
        current = systemctl.show(probe.unit, ["MainPID", "UID", "GID"], user=user)
        whom = [current.get(name) for name in ("UID", "GID", "MainPID")]
        if not all(whom):
            raise NobodyToAsk
        starter = __file__.rpartition("/")[0] + "/run.py"
        return attempts.command([sys.executable, "-I", "-S", starter, "run_as_service", *whom, *probe.argv])
    return attempts.KINDS[probe.kind](probe.argv[0])
