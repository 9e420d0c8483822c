"""Calls the hooks of an app: its functions for the steps of a process's life."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from omnitron.host.context import Context
from omnitron.host.failure import FailureError
from omnitron.host.loading import Loader
from omnitron.host.rpc.calls import is_cancelled
from omnitron.policy.host_spec import Hooks

MOMENTS = (
    "before_create",
    "after_create",
    "before_start",
    "after_start",
    "before_stop",
    "after_stop",
    "on_health_check",
)


class HookTimeoutError(Exception):
    """A hook that takes too long."""


class HookTable:
    """The hooks of a process, loaded."""

    def __init__(self, hooks: Hooks, loader: Loader) -> None:
        """Load every function that is named, so that a wrong name is reported at the start and not at the stop."""
        self._functions: dict[str, Callable[..., Any]] = {}
        for moment in MOMENTS:
            reference = getattr(hooks, moment)
            if reference:
                try:
                    self._functions[moment] = loader.function(reference)
                except Exception as error:
                    raise FailureError(f"load the hook {_camel(moment)} ({reference})", error) from error

    def get(self, moment: str, context: Context | None = None) -> Callable[..., Any] | None:
        """Return the function for a moment, bound to the context if it takes an argument; None without a hook."""
        function = self._functions.get(moment)
        return function and partial(function, *_arguments(function, context))

    async def run(self, moment: str, context: Context | None, timeout_s: float) -> None:
        """Run the hook of a moment, if there is one, with the context if it takes an argument."""
        function = self.get(moment, context)
        if function is not None:
            await run_guarded(f"run the hook {_camel(moment)}", function, timeout_s)


async def run_guarded(doing: str, function: Callable[[], Any], timeout_s: float) -> None:
    """Run the app's own code, async or not; raises FailureError when it fails, exits or takes too long."""
    try:
        async with asyncio.timeout(timeout_s) as limit:
            result = function()
            if inspect.isawaitable(result):
                await result
    except TimeoutError as error:
        late = HookTimeoutError(f"it took longer than {timeout_s:g} s") if limit.expired() else error
        raise FailureError(doing, late) from error
    except (Exception, SystemExit, asyncio.CancelledError) as error:
        if is_cancelled():
            raise
        raise FailureError(doing, error) from error


def _arguments(function: Callable[..., Any], context: Context | None) -> tuple[Context, ...]:
    if context is None:
        return ()
    try:
        inspect.signature(function).bind(context)
    except (TypeError, ValueError):  # it takes no argument, or is not Python and has no signature
        return ()
    return (context,)


def _camel(moment: str) -> str:
    first, *rest = moment.split("_")
    return first + "".join(word.capitalize() for word in rest)
