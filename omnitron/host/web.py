"""The ASGI application of a process: JSON-RPC at `POST /rpc` and over a WebSocket, and the app's own routes."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

import msgspec

from omnitron.host import errors
from omnitron.host.auth import Forbidden, Identity, Unauthenticated, bearer_token, challenge, check, required_roles
from omnitron.host.calls import Call, child_span, enter
from omnitron.host.dispatch import Dispatcher
from omnitron.host.hub import Hub

log = logging.getLogger(__name__)

RPC_PATH = "/rpc"
JSON = (b"content-type", b"application/json")
CLOSE = (b"connection", b"close")
LATER_S = 0.5
LONGEST_WAIT_HEADER = b"x-request-timeout"
"""Seconds that the caller waits, in a request's header."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Verify = Callable[[str], Identity]
Observe = Callable[[str, str, int, float], None]
"""Told of every request: method, route, status, seconds."""

DENIED = {
    b'{"error":{"code":%d,' % errors.UNAUTHENTICATED: 401,
    b'{"error":{"code":%d,' % errors.FORBIDDEN: 403,
    b'{"error":{"code":%d,' % errors.BUSY: 503,
}
"""How the answer to a single call begins whose error HTTP has a status for."""


class _TooLargeError(Exception):
    pass


class Web:
    """Answers HTTP requests and WebSockets."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        hub: Hub,
        *,
        verify: Verify | None = None,
        request_s: float = 120.0,
        longest_body: int = 10 << 20,
        websocket_path: str | None = None,
        http: bool = True,
        routes: Sequence[tuple[str, str, Callable[..., Any]]] = (),
        cors: Any = False,
        version: str | None = None,
        observe: Observe | None = None,
    ) -> None:
        """Take what to serve; `verify` judges bearer tokens, without it nobody is asked who they are."""
        self.dispatcher = dispatcher
        self.hub = hub
        self.draining = False
        """Set while the process ends: every response then closes its connection."""
        self.sockets: set[_Socket] = set()
        self._verify = verify
        self._request_s = request_s
        self._longest_body = longest_body
        self._websocket_path = websocket_path
        self._http = http
        self._extra = [(b"x-app-version", version.encode("latin-1", "replace"))] if version else []
        self._observe = observe or _nobody
        self._router = _router(routes) if routes else None
        self.app = _with_cors(self, cors) if cors else self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or one WebSocket."""
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        elif scope["type"] == "http":
            await _Exchange(self, scope, receive, send).serve()

    def identify(self, headers: dict[bytes, bytes]) -> Identity | None:
        """Return who sends these headers; raises Unauthenticated where a token is asked for and does not do."""
        if self._verify is None:
            return None
        return self._verify(bearer_token(headers.get(b"authorization", b"").decode("latin-1") or None))

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        try:
            if scope["path"] != self._websocket_path:
                raise LookupError
            identity = self.identify(headers)
        except (LookupError, Unauthenticated):
            await receive()
            await send({"type": "websocket.close", "code": 1008})  # before it is accepted: HTTP 403
            return
        client = _Socket(self, identity, headers.get(b"traceparent", b"").decode("latin-1") or None, receive, send)
        self.sockets.add(client)
        try:
            await client.serve()
        finally:
            self.sockets.discard(client)
            self.hub.leave(client)

    async def close_sockets(self) -> None:
        """Tell every WebSocket that the service restarts."""
        self.draining = True
        await asyncio.gather(*(client.close(1012) for client in list(self.sockets)), return_exceptions=True)


class _Topic(msgspec.Struct):
    topic: str


class _Subscription(msgspec.Struct):
    method: str
    params: _Topic
    id: str | int | float | None = None


class _Exchange:
    """One HTTP request and its response."""

    def __init__(self, web: Web, scope: Scope, receive: Receive, send: Send) -> None:
        self._web = web
        self._scope = scope
        self._receive = receive
        self._to_client = send
        self._status = 0

    async def serve(self) -> None:
        web, scope = self._web, self._scope
        began = time.perf_counter()
        route = RPC_PATH if scope["path"] == RPC_PATH else "other"
        try:
            # A call is told by the dispatcher that it took too long; this is for everything else.
            async with asyncio.timeout(web._request_s + LATER_S) as limit:
                route = await self._route(route)
        except _TooLargeError:
            await self._refuse(413, f"a body holds at most {web._longest_body} bytes", CLOSE)
        except TimeoutError as error:
            if not limit.expired():
                await self._broken(error)
            elif not self._status:
                await self._refuse(504, "not done in time", CLOSE)
        except Unauthenticated as error:
            await self._refuse(401, str(error), (b"www-authenticate", challenge(error).encode("latin-1", "replace")))
        except Forbidden as error:
            await self._refuse(403, str(error), (b"www-authenticate", challenge(error).encode("latin-1", "replace")))
        except Exception as error:
            await self._broken(error)
        finally:
            web._observe(scope["method"], route, self._status, time.perf_counter() - began)

    async def _route(self, route: str) -> str:
        """Answer, and return the route for the metrics: a pattern, never a path that the client chose."""
        web, scope = self._web, self._scope
        headers = dict(scope["headers"])
        identity = web.identify(headers)
        call = Call(
            identity,
            time.monotonic() + min(_seconds(headers.get(LONGEST_WAIT_HEADER)), web._request_s),
            child_span(headers.get(b"traceparent", b"").decode("latin-1") or None),
            "http",
        )
        if scope["path"] == RPC_PATH and web._http:
            await self._rpc(call)
            return route
        found = web._router(scope) if web._router else None
        if found is None:
            await self._refuse(404, "not found")
            return route
        pattern, handler, allowed = found
        if handler is None:
            await self._refuse(405, "method not allowed", (b"allow", ", ".join(sorted(allowed)).encode()))
            return pattern
        check(identity, required_roles(handler))
        enter(call)
        await _respond(handler, scope, self._bounded(), self._send)
        return pattern

    async def _rpc(self, call: Call) -> None:
        if self._scope["method"] != "POST":
            await self._refuse(405, "calls are made with POST", (b"allow", b"POST"))
            return
        receive = self._bounded()
        message = await receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            body = message["body"]
        else:
            whole = bytearray()
            while message["type"] == "http.request":
                whole += message["body"]
                if not message.get("more_body"):
                    break
                message = await receive()
            else:
                return  # the client has gone
            body = bytes(whole)
        answer = await self._web.dispatcher.answer(bytes(body), call)
        if answer is None:
            await self._answer(204, b"")
            return
        status = next((status for begin, status in DENIED.items() if answer.startswith(begin)), 200)
        more = [(b"www-authenticate", b'Bearer realm="omnitron"')] if status in (401, 403) else []
        await self._answer(status, answer, JSON, *more)

    def _bounded(self) -> Receive:
        """Return `receive`, which ends the request once the body is larger than it may be."""
        length = dict(self._scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._web._longest_body:
            raise _TooLargeError
        taken = 0

        async def receive() -> MutableMapping[str, Any]:
            nonlocal taken
            message = await self._receive()
            if message["type"] == "http.request":
                taken += len(message.get("body", b""))
                if taken > self._web._longest_body:
                    raise _TooLargeError
            return message

        return receive

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            extra = [*self._web._extra, *([CLOSE] if self._web.draining else [])]
            if extra:
                message = {**message, "headers": [*message.get("headers", ()), *extra]}
        await self._to_client(message)

    async def _answer(self, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
        length = (b"content-length", b"%d" % len(body))
        await self._send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
        await self._send({"type": "http.response.body", "body": body})

    async def _refuse(self, status: int, why: str, *headers: tuple[bytes, bytes]) -> None:
        if not self._status:
            text = (b"content-type", b"text/plain; charset=utf-8")
            await self._answer(status, f"{why}\n".encode(), text, *headers)

    async def _broken(self, error: Exception) -> None:
        mark = os.urandom(6).hex()
        what = f"{self._scope['method']} {self._scope['path'][:200]!r}"
        log.error("%s failed [%s]", what, mark, exc_info=error, extra={"error_id": mark})
        if self._status:
            raise error  # half a response cannot be taken back: the server closes the connection
        await self._refuse(500, f"internal error {mark}")


def _seconds(text: bytes | None) -> float:
    """Return the number in a header; endless where there is none."""
    try:
        number = float(text) if text else math.inf
    except ValueError:
        return math.inf
    return max(0.0, number) if number == number else math.inf


def _nobody(method: str, route: str, status: int, seconds: float) -> None:
    pass


Found = tuple[str, Callable[..., Any] | None, set[str]]


def _router(routes: Sequence[tuple[str, str, Callable[..., Any]]]) -> Callable[[Scope], Found | None]:
    """Return a function that finds the route of a request: its pattern, its handler (or None), the methods allowed.

    Patterns are Starlette's: `/orders/{id:int}`.
    """
    from starlette.routing import compile_path

    table = [(method, pattern, *compile_path(pattern)[::2], handler) for method, pattern, handler in routes]

    def find(scope: Scope) -> Found | None:
        allowed: set[str] = set()
        pattern = ""
        for method, pattern_, regex, convertors, handler in table:
            match = regex.match(scope["path"])
            if not match:
                continue
            if method == scope["method"] or (method == "GET" and scope["method"] == "HEAD"):
                values = match.groupdict()
                scope["path_params"] = {key: convertors[key].convert(value) for key, value in values.items()}
                return pattern_, handler, {method}
            allowed.add(method)
            pattern = pattern_
        return (pattern, None, allowed) if allowed else None

    return find


async def _respond(handler: Callable[..., Any], scope: Scope, receive: Receive, send: Send) -> None:
    from starlette.requests import Request

    request = Request(scope, receive, send)
    response = handler(request)
    if isinstance(response, Awaitable):
        response = await response
    if not callable(response):
        response = _as_response(response)
    await response(scope, receive, send)


def _as_response(value: Any) -> Any:
    """Return a response for what is none: text as it is, anything else as JSON."""
    from starlette.responses import Response

    if value is None:
        return Response(status_code=204)
    if isinstance(value, str | bytes):
        return Response(value, media_type="text/plain")
    return Response(msgspec.json.encode(value), media_type="application/json")


def _with_cors(app: Any, cors: Any) -> Any:
    """Return the application behind Starlette's CORS middleware; `cors` is true for everybody, or its settings."""
    from starlette.middleware.cors import CORSMiddleware

    given = cors if isinstance(cors, dict) else {}

    def said(name: str, default: Any) -> Any:
        value = given.get(name, default)
        return [value] if isinstance(value, str) else value

    return CORSMiddleware(
        app,
        allow_origins=said("origin", said("origins", ["*"])),
        allow_methods=said("methods", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]),
        allow_headers=said("headers", ["*"]),
        allow_credentials=bool(given.get("credentials", False)),
        max_age=int(given.get("maxAge", 600)),
    )


class _Socket:
    """One WebSocket: JSON-RPC both ways, and the events of the topics that it has subscribed to."""

    AT_ONCE = 64
    """Calls at once; what comes beyond waits in the connection."""
    BACKLOG = 1000
    """Messages to a client that does not read; one more ends the connection."""

    def __init__(self, web: Web, identity: Identity | None, trace: str | None, receive: Receive, send: Send) -> None:
        self._web = web
        self._call = Call(identity, traceparent=child_span(trace), transport="websocket")
        self._receive = receive
        self._send = send
        self._out: asyncio.Queue[bytes | int] = asyncio.Queue(self.BACKLOG)
        self._running: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(self.AT_ONCE)

    async def serve(self) -> None:
        message = await self._receive()
        if message["type"] != "websocket.connect":
            return
        await self._send({"type": "websocket.accept"})
        writer = asyncio.create_task(self._write())
        try:
            while (message := await self._receive())["type"] == "websocket.receive":
                text = message.get("text")
                await self._slots.acquire()
                task = asyncio.create_task(self._one(text.encode() if text is not None else message["bytes"]))
                self._running.add(task)
                task.add_done_callback(self._done)
        finally:
            writer.cancel()
            await asyncio.gather(writer, *self._running, return_exceptions=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._slots.release()

    async def _one(self, message: bytes) -> None:
        answer = self._own(message) or await self._web.dispatcher.answer(message, self._call)
        if answer is not None:
            self._deliver(answer)

    def _own(self, message: bytes) -> bytes | None:
        """Answer `rpc.subscribe` and `rpc.unsubscribe`, which are about the connection itself; None for others."""
        if b"rpc." not in message:
            return None
        try:
            request = msgspec.json.decode(message, type=_Subscription)
        except (msgspec.MsgspecError, RecursionError):
            return None
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": request.id, "result": True}
        try:
            if request.method == "rpc.subscribe":
                self._web.hub.subscribe(self, request.params.topic, self._deliver)
            elif request.method == "rpc.unsubscribe":
                self._web.hub.unsubscribe(self, request.params.topic)
            else:
                return None
        except ValueError as error:
            del answer["result"]
            answer["error"] = {"code": errors.INVALID_PARAMS, "message": str(error)}
        return msgspec.json.encode(answer)

    def _deliver(self, message: bytes) -> None:
        try:
            self._out.put_nowait(message)
        except asyncio.QueueFull:
            self._web.hub.leave(self)
            # Room for the word that ends it.
            self._out.get_nowait()
            self._out.put_nowait(1013)

    async def _write(self) -> None:
        while True:
            item = await self._out.get()
            if isinstance(item, int):
                await self._send({"type": "websocket.close", "code": item})
                return
            await self._send({"type": "websocket.send", "text": item.decode()})

    async def close(self, code: int) -> None:
        """Answer what runs, then close."""
        await asyncio.gather(*self._running, return_exceptions=True)
        if self._out.full():
            self._out.get_nowait()
        self._out.put_nowait(code)
