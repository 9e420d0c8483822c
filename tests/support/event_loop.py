"""What tests of transports share: one event loop for a test, patience, and a look at memory."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

TIMEOUT_S = 20
SETTLE_S = 0.02
"""Transports end a little later than what they carried."""


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Run a test; what nobody handles in its loop fails it."""
    unhandled: list[dict[str, Any]] = []

    async def guarded() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: unhandled.append(context))
        async with asyncio.timeout(TIMEOUT_S):
            await test()
        await asyncio.sleep(SETTLE_S)
        gc.collect()  # a task or future whose exception nobody took complains when it goes

    asyncio.run(guarded())
    assert not unhandled


async def until(true: Callable[[], bool]) -> None:
    """Wait until something is so; `run` ends a wait that is in vain."""
    while not true():
        await asyncio.sleep(0.002)


def memory() -> int:
    """Resident bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
