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

from .. import probes
from ..light import arguments, systemctl
from ..light.namedtuple import NamedTuple
from ..state import health_results

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

LOOKED_UP = ("InvocationID", "MainPID", "ExecMainStartTimestampMonotonic")
AT_ONCE = 16
"""Probes that run at the same time."""
POLICY_LIMIT = 64 * 1024 * 1024  # bytes


class NobodyToAsk(Exception):  # noqa: N818 - nothing is wrong
    """systemd does not say which process it is about: while it starts anew it answers nothing."""


class Target(NamedTuple):
    """One running service to ask: how, for how long (seconds), and how many failures in a row are too many."""

    unit: str
    kind: str
    argv: tuple[str, ...]
    timeout_s: float
    retries: int
    start_period_s: float = 0.0
    """After its start, in which failures do not count."""


def main(argv: Sequence[str]) -> int:
    """`[--user] --policy PATH --results PATH --interval-ms N`. The exit status: 0, or 1 when it could not be done."""
    try:
        _, given, _ = arguments.parse(argv, flags=["--user"])
        user = "--user" in given
        states = _running(_stem(given["--policy"]), user=user)
        targets = list(targets_of(_policy(given["--policy"]), int(given["--interval-ms"]), states))
        _sweep(targets, given["--results"], user=user)
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"<3>cannot check health: {error}", file=sys.stderr)
        return 1
    return 0


def _stem(policy: str) -> str:
    return policy.rpartition("/")[2].removesuffix(".json")


def _policy(path: str) -> Any:
    with open(path, "rb") as file:  # noqa: PTH123 - pathlib is slow to import
        return json.loads(file.read(POLICY_LIMIT))


def _running(stem: str, *, user: bool) -> list[str]:
    """The services of the stack that are active: what is starting or stopping is not asked."""
    query = ["list-units", "--full", "--output=json", "--state=active", "--", f"{stem}-*.service"]
    # No answer at all is an error: an empty list would forget what failed so far.
    return [row["unit"] for row in json.loads(systemctl.Question(query, user=user).answer())]


def targets_of(policy: Any, interval_ms: int, running: Iterable[str]) -> Iterable[Target]:
    """What to ask in a round: the running services whose policy says so, instances of pools each."""
    running = list(running)
    for process in (process for app in policy["apps"] for process in app["processes"]):
        check = process.get("health")
        if not check or check["interval"] != interval_ms:
            continue
        stem, at, suffix = process["unit"].partition("@.")
        for unit in running:
            if unit == process["unit"] or (at and unit.startswith(f"{stem}@") and unit.endswith(f".{suffix}")):
                argv = tuple(check["argv"])
                yield Target(
                    unit,
                    check["kind"],
                    argv,
                    check["timeout"] / 1000,
                    check["retries"],
                    check.get("startPeriod", 0) / 1000,
                )


def _sweep(targets: Sequence[Target], results: str, *, user: bool) -> None:
    began_us = time.monotonic_ns() // 1000
    answers = ask(targets, user=user)
    # Looked up for the few that failed: a restart since then has a clean slate.
    failed = [unit for unit, trouble in answers.items() if trouble is not None]
    known = {unit: systemctl.show(unit, LOOKED_UP, user=user) for unit in failed}
    before = health_results.read(results)
    after: dict[str, health_results.Result] = {}
    for target in targets:
        if target.unit not in answers:
            if target.unit in before:
                after[target.unit] = before[target.unit]
            continue
        trouble, told = answers[target.unit], known.get(target.unit)
        if told and not _counts(target, told, began_us):
            continue
        invocation = told.get("InvocationID") if told else ""
        result = health_results.judged(before.get(target.unit), trouble, invocation, time.time())
        if told and result.failures >= target.retries:
            print(f"<3>{target.unit} is unhealthy, {result.failures} checks failed: {result.message}", file=sys.stderr)
            _end(int(told.get("MainPID") or 0), is_last=result.failures > target.retries)
        after[target.unit] = result
    health_results.write(results, after)


def _counts(target: Target, told: systemctl.Properties, began_us: int) -> bool:
    """Whether a failure is one of the process that runs now, and that has had its time to start.

    Another may have taken its place while it was asked.
    """
    started = told.get("ExecMainStartTimestampMonotonic")
    return started.isdigit() and int(started) + target.start_period_s * 1e6 < began_us


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


def ask(targets: Sequence[Target], *, user: bool) -> dict[str, str | None]:
    """The answer of each that could be asked: None when it is healthy, else why not."""
    waiting, answers = list(reversed(targets)), dict[str, "str | None"]()

    def work() -> None:
        while True:
            try:
                target = waiting.pop()
            except IndexError:
                return
            with suppress(NobodyToAsk):
                answers[target.unit] = _answer(target, user=user)

    workers = [Thread(target=work) for _ in range(min(AT_ONCE, len(targets)))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return answers


def _answer(target: Target, *, user: bool) -> str | None:
    try:
        return _attempt(target, user=user)(target.timeout_s, -1)
    except NobodyToAsk:
        raise
    except Exception as error:  # whatever it is, the others are asked
        return str(error)


def _attempt(target: Target, *, user: bool) -> probes.Attempt:
    if target.kind == "command":
        told = systemctl.show(target.unit, ["MainPID", "UID", "GID"], user=user)
        whom = [told.get(name) for name in ("UID", "GID", "MainPID")]
        if not all(whom):
            raise NobodyToAsk
        starter = __file__.rpartition("/")[0] + "/run.py"
        return probes.command([sys.executable, "-I", "-S", starter, "run_as_service", *whom, *target.argv])
    return probes.KINDS[target.kind](target.argv[0])
