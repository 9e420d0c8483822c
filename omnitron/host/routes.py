"""The app's own HTTP routes: the choice of a request's handler, and the response from its result."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.convertors import Convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path

from omnitron.host.auth.identity import required_roles

Scope = MutableMapping[str, Any]


@dataclass(frozen=True, slots=True)
class Route:
    """A handler, and the requests that it serves. Patterns are Starlette's: `/orders/{id:int}`."""

    method: str
    pattern: str
    handler: Callable[..., Any]
    match: Callable[[str], Any]
    convertors: dict[str, Convertor[Any]]
    roles: frozenset[str] | None
    is_async: bool

    async def respond(self, scope: Scope, receive: Any, send: Any) -> None:
        """Call the handler and send its result; one that is not async runs in a thread, so it does not block others."""
        request = Request(scope, receive, send)
        response = self.handler(request) if self.is_async else await run_in_threadpool(self.handler, request)
        if hasattr(response, "__await__"):
            response = await response
        if not callable(response):
            response = _as_response(response)
        await response(scope, receive, send)


class Router:
    """Chooses the route of a request: the first that matches."""

    def __init__(self, routes: Iterable[tuple[str, str, Callable[..., Any]]]) -> None:
        """Take method, pattern and handler of each route."""
        self._routes: list[Route] = []
        for method, pattern, handler in routes:
            regex, _, convertors = compile_path(pattern)
            roles = required_roles(handler)
            self._routes.append(Route(method, pattern, handler, regex.match, convertors, roles, _is_async(handler)))

    def find(self, scope: Scope) -> Route | list[Route]:
        """Return the route of a request, or else the routes of its path with other methods."""
        method, path = scope["method"], scope["path"]
        others: list[Route] = []
        for route in self._routes:
            match = route.match(path)
            if match is None:
                continue
            if route.method != method and (route.method, method) != ("GET", "HEAD"):
                others.append(route)
                continue
            try:
                values = match.groupdict().items()
                scope["path_params"] = {name: route.convertors[name].convert(value) for name, value in values}
            except ValueError:
                continue  # int() refuses a number with thousands of digits
            return route
        return others


def _is_async(handler: Callable[..., Any]) -> bool:
    plain = inspect.unwrap(handler)
    return inspect.iscoroutinefunction(plain) or inspect.iscoroutinefunction(type(plain).__call__)


def _as_response(value: Any) -> Any:
    """Return a handler's result as a response: text as it is, anything else as JSON."""
    if value is None:
        return Response(status_code=204)
    if isinstance(value, str | bytes):
        return Response(value, media_type="text/plain")
    return Response(msgspec.json.encode(value), media_type="application/json")
