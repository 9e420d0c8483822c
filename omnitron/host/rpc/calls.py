"""What belongs to one call and travels with it: who calls, until when, and the trace it is part of."""

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
    """Who calls; None where nobody was asked."""
    deadline: float | None = None
    """When the caller stops waiting; seconds on the event loop's clock (CLOCK_MONOTONIC)."""
    traceparent: str | None = None
    """The W3C trace context, with this call's own span."""
    transport: str = ""
    """`http`, `websocket` or `unix`."""
    rows: Any = None
    """What its caller may see, as the app's `auth.rls` says it."""

    def remaining(self) -> float | None:
        """Return the seconds left until the deadline, None without one."""
        return None if self.deadline is None else self.deadline - time.monotonic()

    @property
    def trace_id(self) -> str | None:
        """The trace that this call is part of."""
        return self.traceparent[3:35] if self.traceparent else None


_current: ContextVar[Call | None] = ContextVar("omnitron_call", default=None)


def current_call() -> Call | None:
    """Return the call that is being served here, None outside of one."""
    return _current.get()


def enter(call: Call) -> None:
    """Make `call` the current one of this task."""
    _current.set(call)


def detached() -> Context:
    """Return a context for work that outlives the call which is served here: its caller and trace, no deadline."""
    context, call = copy_context(), _current.get()
    if call is not None:
        context.run(enter, replace(call, deadline=None))
    return context


def is_cancelled() -> bool:
    """Whether this task is asked to end; if not, a CancelledError comes from something that it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def child_span(traceparent: str | None) -> str | None:
    """Return `traceparent` with a span of its own; None for none, and for one that is malformed."""
    found = TRACEPARENT.fullmatch(traceparent) if traceparent else None
    return f"00-{found[1]}-{os.urandom(8).hex()}-{found[3]}" if found else None


def new_trace() -> str:
    """Return a trace context that begins here."""
    return f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-01"
