"""Who calls: headers, answers and roles."""

from __future__ import annotations

import functools
import hashlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from omnitron.host.auth.identity import (
    TOKEN_LIMIT,
    Forbidden,
    Identity,
    Unauthenticated,
    bearer_token,
    challenge,
    check,
    required_roles,
    requires,
)
from tests.support.signing import (
    signed,
    verifier,
)

# The header, and the answer


@pytest.mark.parametrize("header", ["Bearer xyz", "bearer xyz", "BEARER  xyz ", "\tBearer xyz", "Bearer xyz\t"])
def test_a_bearer_token(header: str) -> None:
    assert bearer_token(header) == "xyz"


@pytest.mark.parametrize(
    ("header", "presented"),
    [
        (None, False),
        ("", False),
        ("Basic YTpi", False),
        ("xyz", False),
        ("Bearerxyz", False),
        ("Bearer", True),
        ("Bearer ", True),
        ("Bearer a b", True),
        ("Bearer a, Bearer b", True),
        ("Bearer a\r\nX: b", True),
        ("Bearer a\n", True),
        ("Bearer ä", True),
        ("Bearer =", True),
        ("Bearer " + "x" * (TOKEN_LIMIT + 1), True),
    ],
    ids=range(14),
)
def test_headers_without_a_bearer_token(header: str | None, presented: bool) -> None:
    with pytest.raises(Unauthenticated) as caught:
        bearer_token(header)
    assert caught.value.presented is presented
    assert len(str(caught.value)) < 80


def test_the_longest_token() -> None:
    assert len(bearer_token("Bearer " + "x" * TOKEN_LIMIT)) == TOKEN_LIMIT


REALM = 'Bearer realm="omnitron"'


@pytest.mark.parametrize(
    ("error", "value"),
    [
        (None, REALM),
        (Unauthenticated("no token", presented=False), REALM),
        (Unauthenticated("too late"), f'{REALM}, error="invalid_token", error_description="too late"'),
        (
            Unauthenticated('a "b" \\ c\r\nSet-Cookie: ä'),
            f'{REALM}, error="invalid_token", error_description="a ?b? ? c??Set-Cookie: ?"',
        ),
        (
            Forbidden(frozenset({"b", "a"})),
            f"{REALM}, error=\"insufficient_scope\", error_description=\"needs the roles 'a', 'b'\"",
        ),
        (Forbidden(frozenset({'"'})), f'{REALM}, error="insufficient_scope", error_description="needs the role \'?\'"'),
    ],
)
def test_challenges(error: Unauthenticated | Forbidden | None, value: str) -> None:
    assert challenge(error) == value


# Roles on functions


def nothing() -> None:
    pass


def test_marks_add_up() -> None:
    @requires("a")
    @requires()
    @requires("b", "c")
    def function() -> int:
        return 7

    assert function() == 7
    assert required_roles(function) == {"a", "b", "c"}
    assert function.__omnitron_roles__ == {"a", "b", "c"}  # type: ignore[attr-defined]


def test_any_caller_is_not_no_caller() -> None:
    assert required_roles(requires()(lambda: None)) == frozenset()
    assert required_roles(nothing) is None


class Service:
    @requires("a")
    def method(self) -> None: ...

    @requires("b")
    @staticmethod
    def outside_static() -> None: ...

    @staticmethod
    @requires("b")
    def inside_static() -> None: ...

    @requires("c")
    @classmethod
    def outside_class(cls) -> None: ...

    @classmethod
    @requires("c")
    def inside_class(cls) -> None: ...

    @requires("d")
    def __call__(self) -> None: ...


@requires("e")
def marked() -> None: ...


@functools.wraps(marked)
def wrapper() -> None: ...


class AnyName:
    """Answers to any name, as a proxy does."""

    def __getattr__(self, name: str) -> Any:
        return lambda: None

    def __call__(self) -> None: ...


@pytest.mark.parametrize(
    ("function", "roles"),
    [
        (Service().method, {"a"}),
        (Service.method, {"a"}),
        (Service().outside_static, {"b"}),
        (Service().inside_static, {"b"}),
        (vars(Service)["outside_static"], {"b"}),
        (Service().outside_class, {"c"}),
        (Service().inside_class, {"c"}),
        (Service(), {"d"}),
        (functools.partial(marked), {"e"}),
        (functools.partial(Service().method), {"a"}),
        (requires("f")(functools.partial(marked)), {"e", "f"}),
        (wrapper, {"e"}),
        (AnyName(), None),
        (print, None),
    ],
)
def test_no_way_to_hand_on_a_function_drops_its_mark(function: Callable[..., Any], roles: object) -> None:
    assert required_roles(function) == roles


@pytest.mark.parametrize("roles", [("",), (" ",), (None,), (3,), (["a"],), ("a", ""), (b"a",)])
def test_roles_are_names(roles: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError, match="a role is a non-empty string"):
        requires(*roles)


@pytest.mark.parametrize("function", [nothing, Service, Service().method])
def test_requires_needs_parentheses(function: Any) -> None:
    with pytest.raises(TypeError, match=r"@requires needs parentheses: @requires\(\) or @requires\('role'\)"):
        requires(function)


ADA = Identity("ada", frozenset({"a", "b"}))
LOCAL = Identity("uid:0", trusted=True)


@pytest.mark.parametrize(
    ("identity", "needed", "outcome"),
    [
        (None, None, None),
        (ADA, None, None),
        (ADA, frozenset(), None),
        (ADA, frozenset({"a"}), None),
        (ADA, frozenset({"a", "b"}), None),
        (ADA, frozenset({"a", "c"}), "needs the role 'c'"),
        (ADA, frozenset({"d", "c"}), "needs the roles 'c', 'd'"),
        (ADA, frozenset({"A"}), "needs the role 'A'"),
        (LOCAL, frozenset({"anything"}), None),
        (Identity("eve"), frozenset(), None),
    ],
)
def test_check(identity: Identity | None, needed: frozenset[str] | None, outcome: str | None) -> None:
    if outcome is None:
        check(identity, needed)
        return
    with pytest.raises(Forbidden) as caught:
        check(identity, needed)
    assert str(caught.value) == outcome


@pytest.mark.parametrize("needed", [frozenset(), frozenset({"a"})])
def test_nobody_needs_a_token(needed: frozenset[str]) -> None:
    with pytest.raises(Unauthenticated) as caught:
        check(None, needed)
    assert challenge(caught.value) == REALM


def test_an_identity_can_be_a_key() -> None:
    assert len({verifier().verify(signed()), verifier().verify(signed())}) == 1


def test_without_auth_nothing_is_loaded() -> None:
    code = "import sys, omnitron.host.auth; sys.exit(bool({'jwt', 'cryptography'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_digests_are_the_only_trace_of_a_token() -> None:
    one, token = verifier(), signed()
    one.verify(token)
    assert list(one._cache._entries) == [hashlib.sha256(token.encode()).digest()]
