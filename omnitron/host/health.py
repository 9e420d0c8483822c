"""How a process is: what its own check says, and whether its transports answer; pure bookkeeping over both."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any

from omnitron.host.failure import one_line
from omnitron.host.rpc.calls import is_cancelled
from omnitron.supervision.status_line import STATES as STATUSES
from omnitron.supervision.status_line import State as Status


class Health:
    """Asks, and counts failures in a row."""

    def __init__(
        self,
        hook: Callable[..., Any] | None,
        transports: Iterable[Callable[[], str | None]],
        *,
        timeout_s: float,
        retries: int,
    ) -> None:
        """Take the app's own check, if any, and for each transport what is wrong with it (None for nothing)."""
        self._hook = hook
        self._transports = list(transports)
        self._timeout_s = timeout_s
        self._retries = retries
        self.failures = 0
        """Failed checks in a row."""
        self.status: Status = "healthy"
        self.message = ""

    @property
    def is_given_up(self) -> bool:
        """Whether so many checks in a row have failed that the process should not live on."""
        return self.failures >= self._retries

    async def check(self) -> Status:
        """Ask everything once."""
        self.status, self.message = await self._ask()
        self.failures = self.failures + 1 if self.status == "unhealthy" else 0
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
            return understood(answer)
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            if is_cancelled():
                raise
            if isinstance(error, TimeoutError) and limit.expired():
                return "unhealthy", f"its health check did not answer within {self._timeout_s:g} s"
            return "unhealthy", f"its health check failed: {type(error).__name__}: {one_line(error)}"


def understood(answer: Any) -> tuple[Status, str]:
    """Return what a health check has said: a status, `{"status": …, "message": …}`, a truth value, or nothing."""
    if answer is None or answer is True:
        return "healthy", ""
    if answer is False:
        return "unhealthy", "its health check says so"
    if isinstance(answer, Mapping):
        status, message = answer.get("status"), answer.get("message")
    else:
        status, message = getattr(answer, "status", answer), getattr(answer, "message", None)
    said = status.value if isinstance(status, Enum) else status
    if said not in STATUSES:
        return "unhealthy", f"its health check said {one_line(repr(said))}, not healthy, degraded or unhealthy"
    return said, one_line(message or "")
