"""The ASGI application of a process: JSON-RPC at `POST /rpc` and over a WebSocket, and the app's own routes."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from omnitron.host.auth.identity import Forbidden, Identity, Unauthenticated, bearer_token, challenge, check
from omnitron.host.rpc import errors
from omnitron.host.rpc.calls import Call, child_span, enter, is_cancelled
from omnitron.host.rpc.dispatch import Dispatcher
from omnitron.host.transports.topics import Hub
from omnitron.host.transports.websocket import WebSocket, deny

if TYPE_CHECKING:
    from omnitron.host.routes import Router
    from omnitron.host.telemetry.tracing import Span, Tracing

log = logging.getLogger(__name__)

RPC_PATH = "/rpc"
JSON = (b"content-type", b"application/json")
CLOSE = (b"connection", b"close")
VARY = (b"vary", b"Origin")
LATER_S = 0.5
BODIES_TOGETHER = 16
"""Limit to the bodies of all requests together, in bodies of the largest size."""
LONGEST_WAIT_HEADER = b"x-request-timeout"
"""Seconds that the caller waits, in a request's header."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Verify = Callable[[str], Identity | Awaitable[Identity]]
Observe = Callable[[str, str, int, float], None]
"""Called after every request with its method, route, status and seconds."""

DENIED = {
    b'{"error":{"code":%d,' % errors.UNAUTHENTICATED: 401,
    b'{"error":{"code":%d,' % errors.FORBIDDEN: 403,
    b'{"error":{"code":%d,' % errors.BUSY: 503,
}
"""HTTP statuses by the start of the JSON-RPC answer to a single call."""


class _TooLargeError(Exception):
    pass


class _TooMuchError(Exception):
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
        tracer: Tracing | None = None,
    ) -> None:
        """Take what to serve; `verify` checks bearer tokens; without it no token is required."""
        self.dispatcher = dispatcher
        self.hub = hub
        self.sockets: set[WebSocket] = set()
        self._verify = verify
        self._request_s = request_s
        self._longest_body = longest_body
        self._body_bytes = 0
        """Bytes of the bodies of all requests that are being served."""
        self._websocket_path = websocket_path
        self._http = http
        self._extra = [(b"x-app-version", version.encode("latin-1", "replace"))] if version else []
        self._observe = observe or _ignore
        self._tracer = tracer
        self._router = _router(routes) if routes else None
        self._limit = _Limit(request_s + LATER_S)
        self._restarting = False
        self.app = _with_cors(self, cors) if cors else self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or one WebSocket."""
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        elif scope["type"] == "http":
            await self.request(scope, receive, send)

    def request(self, scope: Scope, receive: Receive, send: Send, *headers: tuple[bytes, bytes]) -> Awaitable[None]:
        """Serve one request; the response gets `headers` besides its own."""
        exchange = _Exchange(self, scope, receive, send, *headers)
        return exchange.serve() if self._tracer is None else exchange.traced(self._tracer)

    async def identify(self, headers: dict[bytes, bytes]) -> Identity | None:
        """Return the sender of these headers; raises Unauthenticated without a required, valid token."""
        if self._verify is None:
            return None
        identity = self._verify(bearer_token(headers.get(b"authorization", b"").decode("latin-1") or None))
        return identity if isinstance(identity, Identity) else await identity

    def _trace_of(self, headers: dict[bytes, bytes]) -> str | None:
        """Return the trace context for the calls over a WebSocket."""
        if self._tracer is not None:
            return self._tracer.parent(headers)
        return child_span(headers.get(b"traceparent", b"").decode("latin-1") or None)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        await receive()
        if scope["path"] != self._websocket_path:
            await deny(scope, send, 404)
            return
        if self._restarting:
            await deny(scope, send, 503)
            return
        try:
            identity = await self.identify(headers)
        except Unauthenticated as error:
            await deny(scope, send, 401, (b"www-authenticate", challenge(error).encode("latin-1", "replace")))
            return
        call = Call(identity, traceparent=self._trace_of(headers), transport="websocket")
        client = WebSocket(self.dispatcher, self.hub, call, receive, send)
        self.sockets.add(client)
        try:
            await client.serve()
        finally:
            self.sockets.discard(client)

    async def close_sockets(self, deadline: float) -> None:
        """Close every WebSocket with "service restart" after its running calls, or at `deadline` (monotonic)."""
        self._restarting = True
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                await asyncio.gather(*(client.close(1012) for client in list(self.sockets)))


class _Exchange:
    """One HTTP request and its response."""

    def __init__(self, web: Web, scope: Scope, receive: Receive, send: Send, *headers: tuple[bytes, bytes]) -> None:
        self._web = web
        self._extra = (*web._extra, *headers)
        self._scope = scope
        self._receive = receive
        self._to_client = send
        self._headers = dict(scope["headers"])
        self._status = 0
        self._received = 0
        """Bytes of its body so far."""
        self._span: Span | None = None
        self._pattern = RPC_PATH if web._http and scope["path"] == RPC_PATH else None
        """Its route, for metrics: never a path that the client chose."""
        self._gone = False
        """True when the client has left."""
        self.expired = False
        """Set by `_Limit` when it cancels the request after its time."""

    async def traced(self, tracer: Tracing) -> None:
        """Serve inside a span, the parent of the request's calls."""
        method, path = self._scope["method"], self._scope["path"]
        with tracer.request(method, path, self._headers) as self._span:
            try:
                await self.serve()
            finally:
                self._span.answered(method, self._pattern, self._status)

    async def serve(self) -> None:
        web = self._web
        self._began = time.monotonic()
        try:
            # The dispatcher has a deadline for calls; this limit is for everything else.
            web._limit.begin(self, self._began)
            await self._route()
            if not self._status and not self._gone:
                raise RuntimeError("its handler sent no response")
        except asyncio.CancelledError as error:
            if self.expired:
                await self._refuse(504, "not done in time", CLOSE)
            elif is_cancelled():
                raise
            else:
                await self._broken(error)  # raised by something that the handler awaited
        except _TooLargeError:
            await self._refuse(413, f"a body holds at most {web._longest_body} bytes", CLOSE)
        except _TooMuchError:
            await self._refuse(503, "too many large requests at a time", (b"retry-after", b"1"), CLOSE)
        except Unauthenticated as error:
            await self._refuse(401, str(error), (b"www-authenticate", challenge(error).encode("latin-1", "replace")))
        except Forbidden as error:
            await self._refuse(403, str(error), (b"www-authenticate", challenge(error).encode("latin-1", "replace")))
        except Exception as error:
            # An error after the client has left is not logged: clients could fill the journal.
            if not self._gone:
                await self._broken(error)
        finally:
            web._limit.end(self)
            web._body_bytes -= self._received
            web._observe(self._scope["method"], self._pattern or "other", self._status, time.monotonic() - self._began)

    async def _route(self) -> None:
        web, scope = self._web, self._scope
        identity = await web.identify(self._headers) if web._verify else None
        if self._pattern:
            await self._rpc(self._call(identity))
            return
        match = web._router.find(scope) if web._router else []
        if not match:
            await self._refuse(404, "not found")
        elif isinstance(match, list):
            self._pattern = match[0].pattern
            allowed = sorted({other.method for other in match})
            await self._refuse(405, "method not allowed", (b"allow", ", ".join(allowed).encode()))
        else:
            self._pattern = match.pattern
            check(identity, match.roles)
            enter(self._call(identity))
            await match.respond(scope, self._bounded(), self._send)

    def _call(self, identity: Identity | None) -> Call:
        """Return the context of the calls in this request."""
        wait_s = min(_seconds(self._headers.get(LONGEST_WAIT_HEADER)), self._web._request_s)
        if self._span:
            trace = self._span.traceparent
        else:
            trace = child_span(self._headers.get(b"traceparent", b"").decode("latin-1") or None)
        return Call(identity, self._began + wait_s, trace, "http")

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
                return
            body = bytes(whole)
        answer = await self._web.dispatcher.answer(body, call)
        if answer is None:
            await self._answer(204, b"")
            return
        status = next((status for begin, status in DENIED.items() if answer.startswith(begin)), 200)
        more = [(b"www-authenticate", b'Bearer realm="omnitron"')] if status in (401, 403) else []
        await self._answer(status, answer, JSON, *more)

    def _bounded(self) -> Receive:
        """Return a `receive` that ends the request when its body is too large."""
        length = self._headers.get(b"content-length")
        if length and length.isdigit() and int(length) > self._web._longest_body:
            raise _TooLargeError
        return self._take

    async def _take(self) -> MutableMapping[str, Any]:
        message = await self._receive()
        if message["type"] == "http.request":
            length = len(message.get("body", b""))
            self._received += length
            self._web._body_bytes += length
            if self._received > self._web._longest_body:
                raise _TooLargeError
            if self._web._body_bytes > self._web._longest_body * BODIES_TOGETHER:
                raise _TooMuchError
        else:
            self._gone = True
        return message

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            if self._extra:
                message["headers"] = [*message.get("headers", ()), *self._extra]
        await self._to_client(message)

    async def _answer(self, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
        length = (b"content-length", b"%d" % len(body))
        await self._send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
        await self._send({"type": "http.response.body", "body": body})

    async def _refuse(self, status: int, why: str, *headers: tuple[bytes, bytes]) -> None:
        if not self._status:
            text = (b"content-type", b"text/plain; charset=utf-8")
            await self._answer(status, f"{why}\n".encode(), text, *headers)

    async def _broken(self, error: BaseException) -> None:
        mark = os.urandom(6).hex()
        what = f"{self._scope['method']} {self._scope['path'][:200]!r}"
        log.error("%s failed [%s]", what, mark, exc_info=error, extra={"error_id": mark})
        if self._status:
            raise error  # the response has begun: the server closes the connection
        await self._refuse(500, f"internal error {mark}")


class _Limit:
    """The time limit of requests. They expire in the order of their start, so one timer is enough."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._running: dict[_Exchange, tuple[float, asyncio.Task[Any]]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, exchange: _Exchange, now: float) -> None:
        task = asyncio.current_task()
        assert task is not None
        end = now + self._seconds
        self._running[exchange] = end, task
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(end, self._expire, loop)

    def end(self, exchange: _Exchange) -> None:
        self._running.pop(exchange, None)
        if exchange.expired and (task := asyncio.current_task()):
            task.uncancel()

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        for exchange, (end, task) in list(self._running.items()):
            if end > loop.time():
                self._timer = loop.call_at(end, self._expire, loop)
                break
            del self._running[exchange]
            exchange.expired = True
            task.cancel()


def _seconds(text: bytes | None) -> float:
    """Return the number in a header; infinity without one."""
    try:
        number = float(text) if text else math.inf
    except ValueError:
        return math.inf
    return max(0.0, number) if number == number else math.inf


def _ignore(method: str, route: str, status: int, seconds: float) -> None:
    pass


def _router(routes: Sequence[tuple[str, str, Callable[..., Any]]]) -> Router:
    # 22 ms: a process without routes does not pay for Starlette.
    from omnitron.host.routes import Router

    return Router(routes)


def _with_cors(app: Web, cors: Any) -> Any:
    """Return the application behind Starlette's CORS middleware; `cors` is True for every origin, or the settings."""
    from starlette.middleware.cors import CORSMiddleware  # 20 ms, as above

    settings = cors if isinstance(cors, dict) else {}

    def setting(name: str, default: Any) -> Any:
        value = settings.get(name, default)
        return [value] if isinstance(value, str) else value

    origins = setting("origin", setting("origins", True))
    middleware = CORSMiddleware(
        app,
        allow_origins=["*"] if origins is True else origins or [],
        allow_methods=setting("methods", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]),
        allow_headers=setting("headers", ["*"]),
        allow_credentials=bool(settings.get("credentials", False)),
        max_age=int(settings.get("maxAge", 600)),
    )

    async def cross_origin(scope: Scope, receive: Receive, send: Send) -> None:
        # Here the middleware would only add `Vary: Origin`, at a fifth of the cost of a request.
        if scope["type"] == "http" and not any(name == b"origin" for name, _ in scope["headers"]):
            await app.request(scope, receive, send, VARY)
        else:
            await middleware(scope, receive, send)

    return cross_origin
