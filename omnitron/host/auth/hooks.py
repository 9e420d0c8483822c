"""The app's own functions around a call: the check of a token, the caller's view of data, a wrapper of the call."""

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
    """The caller; None where no token is required."""
    arguments: tuple[Any, ...]
    named: Mapping[str, Any]


async def verifier(auth: Auth, loader: Loader, context: Context) -> Verify | None:
    """Return the function that identifies the owner of a token, from `auth.manager`; None without one.

    The function creates a manager; if its first parameter is called `token`, it checks each token itself.
    Raises FailureError.
    """
    if auth.manager is None:
        return None
    try:
        manager: Any = loader.function(auth.manager)
        if list(inspect.signature(manager).parameters)[:1] != ["token"]:
            manager = await _settled(manager(*([context] if inspect.signature(manager).parameters else [])))
        verify = getattr(manager, "verify", manager)
        if not callable(verify):
            raise TypeError(f"it made {manager!r}, which has no method verify(token)")
    except Exception as error:
        raise FailureError(f"make the auth manager ({auth.manager})", error) from error
    return partial(_verified, verify)


async def _verified(verify: Callable[[str], Any], token: str) -> Identity:
    claims = await _settled(verify(token))
    if isinstance(claims, Identity):
        return claims
    if not claims:
        raise Unauthenticated("the token is not known")
    subject = claims.get("subject", claims.get("sub"))
    if not isinstance(subject, str):
        raise TypeError("the auth manager returned no subject")
    return Identity(subject, frozenset(map(str, claims.get("roles", ()))), dict(claims))


def around(auth: Auth, loader: Loader) -> Around | None:
    """Return the function that runs each call, from `auth.rls` and `auth.invocationWrapper`; None without either.

    Raises FailureError.
    """
    functions: dict[str, Callable[..., Any]] = {}
    for name, reference in (("rls", auth.rls), ("invocationWrapper", auth.invocation_wrapper)):
        try:
            if reference:
                functions[name] = loader.function(reference)
        except Exception as error:
            raise FailureError(f"load auth.{name} ({reference})", error) from error
    return partial(_run, functions.get("rls"), functions.get("invocationWrapper")) if functions else None


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
