"""The app's own functions around a call: whose a token is, what its caller may see, and what is done around it."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from omnitron.host.auth.identity import Identity, Unauthenticated
from omnitron.host.context import Context
from omnitron.host.failure import FailureError
from omnitron.host.loading import Loader
from omnitron.host.rpc.calls import current_call, enter
from omnitron.host.rpc.methods import Method
from omnitron.policy.host_spec import Auth

Verify = Callable[[str], "Identity | Awaitable[Identity]"]
Around = Callable[[Method, tuple[Any, ...], dict[str, Any]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Invocation:
    """One call, as `auth.invocationWrapper` sees it."""

    method: str
    """`Service.method`."""
    identity: Identity | None
    """Who calls; None where nobody was asked."""
    arguments: tuple[Any, ...]
    named: Mapping[str, Any]


async def verifier(auth: Auth, loader: Loader, context: Context) -> Verify | None:
    """Return what tells whose a token is, as `auth.manager` says; None without one.

    The function makes a manager, or is called with each token itself where it takes one argument named `token`.
    Raises FailureError.
    """
    if auth.manager is None:
        return None
    try:
        made: Any = loader.function(auth.manager)
        if list(inspect.signature(made).parameters)[:1] != ["token"]:
            made = await _settled(made(*([context] if inspect.signature(made).parameters else [])))
        verify = getattr(made, "verify", made)
        if not callable(verify):
            raise TypeError(f"it made {made!r}, which has no method verify(token)")
    except Exception as error:
        raise FailureError(f"make the auth manager ({auth.manager})", error) from error
    return partial(_verified, verify)


async def _verified(verify: Callable[[str], Any], token: str) -> Identity:
    told = await _settled(verify(token))
    if isinstance(told, Identity):
        return told
    if not told:
        raise Unauthenticated("the token is not known")
    subject = told.get("subject", told.get("sub"))
    if not isinstance(subject, str):
        raise TypeError("the auth manager names no subject")
    return Identity(subject, frozenset(map(str, told.get("roles", ()))), dict(told))


def around(auth: Auth, loader: Loader) -> Around | None:
    """Return what calls are run in, as `auth.rls` and `auth.invocationWrapper` say; None without either.

    Raises FailureError.
    """
    found: dict[str, Callable[..., Any]] = {}
    for name, reference in (("rls", auth.rls), ("invocationWrapper", auth.invocation_wrapper)):
        try:
            if reference:
                found[name] = loader.function(reference)
        except Exception as error:
            raise FailureError(f"load auth.{name} ({reference})", error) from error
    return partial(_run, found.get("rls"), found.get("invocationWrapper")) if found else None


async def _run(
    rls: Callable[..., Any] | None,
    wrapper: Callable[..., Any] | None,
    method: Method,
    positional: tuple[Any, ...],
    named: dict[str, Any],
) -> Any:
    call = current_call()
    identity = call.identity if call else None
    if rls and call:
        enter(replace(call, rows=await _settled(rls(identity))))
    if wrapper is None:
        return await method.function(*positional, **named)
    proceed = partial(method.function, *positional, **named)
    return await _settled(wrapper(Invocation(method.name, identity, positional, named), proceed))


async def _settled(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value
