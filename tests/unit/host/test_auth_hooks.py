"""The app's own functions around a call."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from omnitron.host.auth import hooks
from omnitron.host.auth.identity import Identity, Unauthenticated
from omnitron.host.decorators import service
from omnitron.host.failure import FailureError
from omnitron.host.loading import Loader
from omnitron.host.rpc.calls import Call, current_call
from omnitron.host.rpc.dispatch import Dispatcher
from omnitron.host.rpc.methods import table
from omnitron.policy.host_spec import Auth

OWN = """\
class Manager:
    def __init__(self, context=None):
        self.context = context
    async def verify(self, token):
        if token == "broken":
            return {"roles": ["a"]}
        return {"sub": "ann", "roles": ["a"], "tenant": 7} if token == "right" else None

def make(context):
    return Manager(context)

async def make_later():
    return Manager()

def check(token):
    from omnitron.host.auth.identity import Identity
    return Identity(token)

def nothing():
    return None

def rows(identity):
    return {"tenant": identity.claims["tenant"]} if identity else None

seen = []
async def wrapper(invocation, proceed):
    seen.append(("before", invocation.method, invocation.identity and invocation.identity.subject))
    result = await proceed()
    return [result, invocation.arguments]

def refuses(invocation, proceed):
    raise ValueError("not today")
"""


@service
class Tools:
    async def add(self, a: int, b: int = 0) -> Any:
        return a + b

    async def rows(self) -> Any:
        call = current_call()
        return call and call.rows


@pytest.fixture
def loader(tmp_path: Path) -> Loader:
    (tmp_path / "own_guard.py").write_text(OWN)
    return Loader([tmp_path])


def verified(loader: Loader, function: str, token: str) -> Identity:
    async def ask() -> Identity:
        verify = await hooks.verifier(Auth(manager=f"own_guard.py:{function}"), loader, "context")  # type: ignore[arg-type]
        assert verify
        found = verify(token)
        return found if isinstance(found, Identity) else await found

    return asyncio.run(ask())


@pytest.mark.parametrize("function", ["make", "make_later", "Manager"])
def test_a_manager_tells_whose_a_token_is(loader: Loader, function: str) -> None:
    found = verified(loader, function, "right")
    assert (found.subject, found.roles, found.claims["tenant"]) == ("ann", {"a"}, 7)
    with pytest.raises(Unauthenticated, match="the token is not known"):
        verified(loader, function, "wrong")
    with pytest.raises(TypeError, match="returned no subject"):
        verified(loader, function, "broken")


def test_a_function_of_a_token_is_a_manager_itself(loader: Loader) -> None:
    assert verified(loader, "check", "x") == Identity("x")


@pytest.mark.parametrize(
    ("function", "why"), [("nothing", "has no method verify"), ("gone", "cannot find the function")]
)
def test_a_manager_that_is_none(loader: Loader, function: str, why: str) -> None:
    with pytest.raises(FailureError) as caught:
        verified(loader, function, "x")
    assert why in caught.value.sentence([])


def answer(loader: Loader, auth: Auth, method: str, params: Any, identity: Identity | None = None) -> Any:
    dispatcher = Dispatcher(table({"Tools": Tools()}), around=hooks.around(auth, loader))
    message = json.dumps({"jsonrpc": "2.0", "id": 1, "method": f"Tools.{method}", "params": params}).encode()
    told = asyncio.run(dispatcher.answer(message, Call(identity)))
    return json.loads(told or b"null")


def test_each_call_runs_inside_of_the_wrapper(loader: Loader) -> None:
    auth = Auth(invocation_wrapper="own_guard.py:wrapper")
    assert answer(loader, auth, "add", [1, 2], Identity("ann"))["result"] == [3, [1, 2]]
    assert loader.module("own_guard.py").seen == [("before", "Tools.add", "ann")]


def test_what_the_wrapper_raises_is_told_like_any_failure(loader: Loader) -> None:
    error = answer(loader, Auth(invocation_wrapper="own_guard.py:refuses"), "add", [1])["error"]
    assert error["code"] == -32603 and "not today" not in json.dumps(error)


def test_a_call_knows_which_rows_its_caller_may_see(loader: Loader) -> None:
    auth = Auth(rls="own_guard.py:rows")
    assert answer(loader, auth, "rows", [], Identity("ann", claims={"tenant": 7}))["result"] == {"tenant": 7}
    assert answer(loader, auth, "rows", [])["result"] is None


def test_nothing_is_around_a_call_unasked(loader: Loader) -> None:
    assert hooks.around(Auth(), loader) is None
