"""Authorisation of callers: identities, roles on functions, and the HTTP answers of a refusal."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

TOKEN_LIMIT = 8192
"""Characters of a token; a longer one is refused before it is parsed."""

_MARK = "__omnitron_roles__"
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_UNQUOTABLE = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")  # what RFC 6750, 3 keeps out of error_description


@dataclass(frozen=True, slots=True)
class Identity:
    """The caller of a method.

    `trusted` is a peer of the same system on a unix socket: it has every role. `claims` are those of the
    token, read-only: later calls with the same token share this identity.
    """

    subject: str
    roles: frozenset[str] = frozenset()
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
    trusted: bool = False

    def has(self, role: str) -> bool:
        """Return whether the caller has `role`."""
        return self.trusted or role in self.roles


class Unauthenticated(Exception):  # noqa: N818 - HTTP's word for it
    """The caller could not be identified: 401. The text is safe to show to the client.

    `presented` is False when the request had no bearer token; the challenge then names no error.
    """

    def __init__(self, reason: str, *, presented: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.presented = presented


class Forbidden(Exception):  # noqa: N818 - HTTP's word for it
    """The caller is identified and lacks the roles in `missing`: 403."""

    def __init__(self, missing: frozenset[str]) -> None:
        super().__init__(missing)
        self.missing = missing

    def __str__(self) -> str:
        names = ", ".join(f"'{role}'" for role in sorted(self.missing))
        return f"needs the role{'s' if len(self.missing) > 1 else ''} {names}"


def bearer_token(header: str | None) -> str:
    """Return the token in the value of an Authorization header; Unauthenticated when it holds none."""
    scheme, _, rest = (header or "").strip(" \t").partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated("a bearer token is needed", presented=False)
    token = rest.strip(" \t")
    if len(token) > TOKEN_LIMIT:
        raise Unauthenticated(f"the token is longer than {TOKEN_LIMIT} characters")
    if not _TOKEN68.fullmatch(token):
        raise Unauthenticated("the Authorization header does not read 'Bearer TOKEN'")
    return token


def challenge(error: Unauthenticated | Forbidden | None) -> str:
    """Return the value of WWW-Authenticate (RFC 6750, 3) for a 401 or 403."""
    realm = 'Bearer realm="omnitron"'
    # A client that sent no token gets no error code (RFC 6750, 3.1).
    if error is None or (isinstance(error, Unauthenticated) and not error.presented):
        return realm
    code = "insufficient_scope" if isinstance(error, Forbidden) else "invalid_token"
    return f'{realm}, error="{code}", error_description="{_UNQUOTABLE.sub("?", str(error))}"'


def requires(*roles: str) -> Callable[[F], F]:
    """Mark a function: its callers need all of `roles`; without any, every authenticated caller may call it.

    Several marks add up. Raises TypeError for a role that is not a non-empty string.
    """
    for role in roles:
        if callable(role):
            raise TypeError("@requires needs parentheses: @requires() or @requires('role')")
        if not isinstance(role, str) or not role.strip():
            raise TypeError(f"a role is a non-empty string, not {role!r}")

    def mark(function: F) -> F:
        # A static or class method returns the function inside it on access, so the mark must be on that function.
        inner = getattr(function, "__func__", function)
        setattr(inner, _MARK, (required_roles(inner) or frozenset()) | set(roles))
        return function

    return mark


def required_roles(function: Callable[..., Any]) -> frozenset[str] | None:
    """Return the roles that `function` was marked with; None when every caller may call it.

    Looks into methods, `functools.partial` and objects with a `__call__`, so that none of them loses a mark.
    """
    marks: list[Any] = []
    while isinstance(function, functools.partial):
        marks.append(function)
        function = function.func
    inner = getattr(function, "__func__", function)
    marks += [inner, getattr(inner, "__call__", None)]  # noqa: B004 - its mark is read, not whether it is there
    # An object with a general `__getattr__` may return something that is no set of roles.
    marked_roles = [roles for marked in marks if isinstance(roles := getattr(marked, _MARK, None), frozenset)]
    return frozenset().union(*marked_roles) if marked_roles else None


def check(identity: Identity | None, needed: frozenset[str] | None) -> None:
    """Raise Unauthenticated or Forbidden unless `identity` has the roles `needed`; None permits everybody."""
    if needed is None:
        return
    if identity is None:
        raise Unauthenticated("a bearer token is needed", presented=False)
    missing = frozenset(role for role in needed if not identity.has(role))
    if missing:
        raise Forbidden(missing)
