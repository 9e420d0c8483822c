"""The context of a call, passed on with it: caller, deadline and trace."""

from __future__ import annotations

import asyncio
import os
import re
import time
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, replace
from typing import Any

from omnitron.host.auth.identity import Identity

TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")


@dataclass(frozen=True, slots=True)
class Call:
    """One call as its service sees it."""

    identity: Identity | None = None
    """The caller; None where no token is required."""
    deadline: float | None = None
    """The time at which the caller stops waiting; seconds on the event loop's clock (CLOCK_MONOTONIC)."""
    traceparent: str | None = None
    """The W3C trace context, with this call's own span."""
    transport: str = ""
    """`http`, `websocket` or `unix`."""
    rows: Any = None
    """The rows that its caller may see: the result of the app's `auth.rls`."""

    def remaining(self) -> float | None:
        """Return the seconds left until the deadline, None without one."""
        return None if self.deadline is None else self.deadline - time.monotonic()

    @property
    def trace_id(self) -> str | None:
        """The trace that this call is part of."""
        return self.traceparent[3:35] if self.traceparent else None


_current: ContextVar[Call | None] = ContextVar("omnitron_call", default=None)


def current_call() -> Call | None:
    """Return the call that this task serves, None outside a call."""
    return _current.get()


def enter(call: Call) -> None:
    """Make `call` the current one of this task."""
    _current.set(call)


def detached() -> Context:
    """Return a context for work that outlives the current call: with its caller and trace, without its deadline."""
    context, call = copy_context(), _current.get()
    if call is not None:
        context.run(enter, replace(call, deadline=None))
    return context


def is_cancelled() -> bool:
    """Return whether this task itself is cancelled; else a CancelledError comes from something that it awaits."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def child_span(traceparent: str | None) -> str | None:
    """Return `traceparent` with a new span; None without one or for a malformed one."""
    match = TRACEPARENT.fullmatch(traceparent) if traceparent else None
    return f"00-{match[1]}-{os.urandom(8).hex()}-{match[3]}" if match else None


def new_trace() -> str:
    """Return a trace context that begins here."""
    return f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-01"
