"""Routes: which handler a request is for, and that none keeps the others waiting."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable
from typing import Any

import pytest
from starlette.requests import Request

from omnitron.host.routes import Route, Router


def scope(path: str) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b""}


async def answer(handler: Callable[..., Any]) -> bytes:
    """What a handler's route sends."""
    route = Router([("GET", "/", handler)]).find(scope("/"))
    assert isinstance(route, Route)
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await route.respond(scope("/"), None, send)
    return b"".join(message.get("body", b"") for message in sent)


def test_a_handler_that_waits_keeps_nobody_waiting() -> None:
    both = threading.Barrier(2, timeout=5)

    def waits(request: Request) -> str:
        both.wait()  # passes only when two run at once
        return "waited"

    async def two() -> list[bytes]:
        return await asyncio.gather(answer(waits), answer(waits))

    assert asyncio.run(two()) == [b"waited", b"waited"]


async def plain(request: Request, word: str = "async") -> str:
    assert asyncio.current_task()
    return word


class Callable_:  # noqa: N801 - beside the one of typing
    async def __call__(self, request: Request) -> str:
        return await plain(request, "object")


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (plain, b"async"),
        (functools.partial(plain, word="partial"), b"partial"),
        (Callable_(), b"object"),
        (lambda request: plain(request, "awaitable"), b"awaitable"),
        (lambda request: {"a": 1}, b'{"a":1}'),
        (lambda request: None, b""),
    ],
)
def test_every_kind_of_handler(handler: Callable[..., Any], said: bytes) -> None:
    assert asyncio.run(answer(handler)) == said
