"""The health of a process: its own check, and the state of its transports."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any

from omnitron.host.failure import single_line
from omnitron.host.rpc.calls import is_cancelled
from omnitron.supervision.status_line import STATES as STATUSES
from omnitron.supervision.status_line import State as Status


class Health:
    """Runs the checks, and counts failures in a row."""

    def __init__(
        self,
        hook: Callable[..., Any] | None,
        transports: Iterable[Callable[[], str | None]],
        *,
        timeout_s: float,
        retries: int,
        start_period_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the app's own check, if any, and for each transport a function that returns its problem or None."""
        self._hook = hook
        self._transports = list(transports)
        self._timeout_s = timeout_s
        self._retries = retries
        self._clock = clock
        self._counts_from = clock() + start_period_s
        self.failures = 0
        """Failed checks in a row."""
        self.status: Status = "healthy"
        self.message = ""

    @property
    def has_failed(self) -> bool:
        """Return whether as many checks in a row have failed as may: the process should end."""
        return self.failures >= self._retries

    async def check(self) -> Status:
        """Run every check once."""
        self.status, self.message = await self._ask()
        counts = self.status == "unhealthy" and self._clock() >= self._counts_from
        self.failures = self.failures + 1 if counts else 0
        return self.status

    async def _ask(self) -> tuple[Status, str]:
        for transport in self._transports:
            wrong = transport()
            if wrong:
                return "unhealthy", wrong
        if self._hook is None:
            return "healthy", ""
        try:
            async with asyncio.timeout(self._timeout_s) as limit:
                answer = self._hook()
                if inspect.isawaitable(answer):
                    answer = await answer
            return parse_answer(answer)
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            if is_cancelled():
                raise
            if isinstance(error, TimeoutError) and limit.expired():
                return "unhealthy", f"its health check did not answer within {self._timeout_s:g} s"
            return "unhealthy", f"its health check failed: {type(error).__name__}: {single_line(error)}"


def parse_answer(answer: Any) -> tuple[Status, str]:
    """Return status and message of a check's answer: a status, `{"status": …, "message": …}`, a bool, or None."""
    if answer is None or answer is True:
        return "healthy", ""
    if answer is False:
        return "unhealthy", "its health check returned False"
    if isinstance(answer, Mapping):
        status, message = answer.get("status"), answer.get("message")
    else:
        status, message = getattr(answer, "status", answer), getattr(answer, "message", None)
    value = status.value if isinstance(status, Enum) else status
    if value not in STATUSES:
        return "unhealthy", f"its health check returned {single_line(repr(value))}, not healthy, degraded or unhealthy"
    return value, single_line(message or "")
