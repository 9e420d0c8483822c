"""HTTP on an inherited socket: uvicorn's protocol, with limits for clients, and a drain that loses no request."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import socket
import sys
import time
from email.utils import formatdate
from typing import Any

import httptools
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from omnitron.host.transports.acceptor import Acceptor

LONGEST_HEAD = 64 << 10
"""Longest head of a request, in bytes; chunk headers and trailers count too."""
READ_AT_ONCE = 8 << 10
"""Bytes that are read at once; this also limits the requests that wait in a pipeline."""
JOINED = 64 << 10
"""A body smaller than this is copied behind the response's head, to send both in one write."""
TICK_S = 1.0
GRACE_S = 2.0
"""Time that an idle connection stays open while draining: a request may be on its way."""
LINGER_S = 2.0
"""Time for a client that is still sending to read the last response."""

CLOSE = (b"connection", b"close")
BAD = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class HttpServer:
    """Serves an ASGI application on one listening socket."""

    def __init__(
        self,
        app: Any,
        listening: socket.socket,
        *,
        keep_alive_s: float,
        headers_s: float,
        ping: tuple[float | None, float | None] | None = None,
        longest_message: int = 1 << 20,
    ) -> None:
        """Take the application and its socket; `ping` (interval and timeout, in seconds) lets WebSockets in."""
        interval, timeout = ping or (None, None)
        self.config = uvicorn.Config(
            app,
            http=_Protocol,
            ws=_websocket_protocol() if ping else "none",
            ws_max_size=longest_message,
            ws_ping_interval=interval,
            ws_ping_timeout=timeout,
            lifespan="off",
            log_config=None,
            # uvicorn repeats the application's errors, and logs mistakes of clients, which could fill the journal.
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
        )
        self.config.load()
        self.state = ServerState()
        self.keep_alive_s = keep_alive_s
        self.headers_s = headers_s
        self.draining = False
        """True while the process stops: every response then closes its connection."""
        self.buffer = memoryview(bytearray(READ_AT_ONCE))
        self.context = contextvars.copy_context()
        """The context in which every request starts."""
        self._acceptor = Acceptor(listening, lambda: _Protocol(self))
        self._ticker: asyncio.Task[None] | None = None
        self._unread: dict[Any, tuple[int, float]] = {}
        """For each connection the bytes that its client has not read, and the time since they did not decrease."""

    @property
    def is_accepting(self) -> bool:
        """Return whether new connections are accepted."""
        return self._acceptor.is_accepting

    def stop(self) -> None:
        """Accept no more; open connections are still served."""
        self._acceptor.stop()

    def start(self) -> None:
        """Begin to accept."""
        self._set_date()
        self._ticker = asyncio.create_task(self._tick())
        self._acceptor.start()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(max(0.05, min(TICK_S, self.keep_alive_s / 2, self.headers_s / 2)))
            self._set_date()
            self._end_the_slow(time.monotonic())

    def _set_date(self) -> None:
        self.state.default_headers = [(b"date", formatdate(usegmt=True).encode())]

    def _end_the_slow(self, now: float) -> None:
        unread: dict[Any, tuple[int, float]] = {}
        for connection in list(self.state.connections):
            transport = connection.transport
            left = transport.get_write_buffer_size()
            if left:
                before, since = self._unread.get(connection, (left, now))
                unread[connection] = (left, since if left >= before else now)
                if now - unread[connection][1] > self.headers_s:
                    transport.abort()
            elif isinstance(connection, _Protocol):
                connection.end_if_slow(now)
        self._unread = unread

    async def drain(self, deadline: float) -> None:
        """Accept no more, let every request finish until `deadline` (monotonic), and close everything.

        An idle connection is closed after GRACE_S: its client may just be sending a request. The application
        closes its WebSockets itself.
        """
        self.stop()
        await self._acceptor.settle()
        self.draining = True
        for connection in self._http_connections():
            connection.close_after_response()
        await self._until_empty(min(time.monotonic() + GRACE_S, deadline))
        for connection in self._http_connections():
            connection.shutdown()
        await self._until_empty(deadline)
        for left in list(self.state.connections):
            left.shutdown()
            left.transport.abort()
        if self._ticker:
            self._ticker.cancel()
            await asyncio.wait([self._ticker])

    def _http_connections(self) -> list[_Protocol]:
        return [connection for connection in self.state.connections if isinstance(connection, _Protocol)]

    async def _until_empty(self, moment: float) -> None:
        while (self.state.connections or self.state.tasks) and time.monotonic() < moment:
            await asyncio.sleep(0.01)


class _Protocol(HttpToolsProtocol, asyncio.BufferedProtocol):
    """One connection.

    `_due` is the time until which the client must send something; None while the application has to act.
    """

    def __init__(self, host: HttpServer) -> None:
        super().__init__(host.config, host.state, {}, asyncio.get_running_loop())
        self._host = host
        self._due: float | None = time.monotonic() + host.headers_s
        self._idle = False
        """True between two requests."""
        self._overhead = 0
        """Bytes since the last byte of a body: mostly those of a head."""
        self._ended = False
        """True when nothing more is served; further data is discarded."""
        self._has_whole_message = False
        self._data = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _Flow(transport, self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._host.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(self._host.buffer[:nbytes]))

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        if self._idle:
            self._idle = False
            self._due = time.monotonic() + self._host.headers_s
        self._overhead += len(data)
        self._data = data
        super().data_received(data)
        if self._overhead > LONGEST_HEAD:
            self._end(TOO_LARGE)

    # --- calls of the parser ---

    def on_message_begin(self) -> None:
        self._has_whole_message = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if self._is_unsupported_upgrade():
            return
        before = self.cycle
        # Without `run` it could start in the context of an earlier request on this connection.
        self._host.context.run(super().on_headers_complete)
        self._due, self._overhead = None, 0
        if self.cycle is not before:
            self.cycle.transport = _Writer(self, self.scope["method"] != "HEAD")  # type: ignore[assignment]
            if self._host.draining:
                self.close_after_response()

    def on_body(self, body: bytes) -> None:
        self._overhead = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._is_unsupported_upgrade():
            return
        self._has_whole_message, self._overhead = True, 0
        super().on_message_complete()
        if self.cycle and self.cycle.response_complete:
            self._rest()

    def _is_unsupported_upgrade(self) -> bool:
        """Return whether the request asks for an unsupported protocol; the parser then skips its body."""
        return bool(self.parser.should_upgrade()) and not self._should_upgrade()

    def _unsupported_upgrade_warning(self) -> None:
        """Parse again without the upgrade (RFC 9110, 7.8): Java's client asks for HTTP/2 in its first request."""
        method, upgrade = self.parser.get_method(), sys.exc_info()[1]
        if method == b"CONNECT" or not isinstance(upgrade, httptools.HttpParserUpgrade):
            self._end(BAD)
            return
        head = [method, b" ", self.url, b" HTTP/", self.parser.get_http_version().encode(), b"\r\n"]
        for name, value in self.headers:
            if name != b"upgrade":
                head += [name, b": ", value, b"\r\n"]
        self._data = b"".join([*head, b"\r\n", self._data[upgrade.args[0] :]])
        self.parser = httptools.HttpRequestParser(self)
        super().data_received(self._data)

    def send_400_response(self, msg: str) -> None:
        self._end(BAD)

    # --- the end of a response and of the connection ---

    def on_response_complete(self) -> None:
        if self.pipeline:
            self._host.context.run(super().on_response_complete)
            return
        if self._ended or self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self._has_whole_message:
            self._rest()
        else:
            self._due = time.monotonic() + self._host.headers_s

    def _rest(self) -> None:
        self._idle = True
        self._due = time.monotonic() + self._host.keep_alive_s

    def end_if_slow(self, now: float) -> None:
        """Close the connection if its client is too late."""
        if self._due is None or now < self._due:
            return
        if self._overhead:
            self._end(TOO_SLOW)
        else:
            self.transport.close()

    def close_after_response(self) -> None:
        """Close the connection after the current response."""
        if self.cycle and not self.cycle.response_complete:
            self.cycle.keep_alive = False
            # Older releases of uvicorn send `connection: close` only when the request has it.
            self.cycle.scope["headers"].append(CLOSE)  # type: ignore[attr-defined]

    def shutdown(self) -> None:
        if (self.cycle is None or self.cycle.response_complete) and not self._overhead:
            self.transport.close()
        else:
            self.close_after_response()

    def _end(self, answer: bytes) -> None:
        """Serve nothing more; send `answer` unless another response has begun."""
        if self._ended or self.transport.is_closing():
            return
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            self._has_whole_message = False
            self.transport.write(answer)
            self.close()
        elif not cycle.more_body:
            self._ended, self._due = True, None
            self.close_after_response()
        else:
            # The rest of its body will never come.
            cycle.disconnected = True
            cycle.message_event.set()
            if not cycle.response_started and not self.pipeline:
                self.transport.write(answer)
            self.close()

    def close(self) -> None:
        """Close, but not at once while the client may be sending: a reset could destroy the response."""
        if self._has_whole_message:
            self.transport.close()
            return
        self._ended, self._idle, self._overhead = True, False, 0
        self._due = time.monotonic() + LINGER_S
        self.flow.resume_reading()
        if not self.transport.get_write_buffer_size():
            with contextlib.suppress(OSError):
                self.transport.write_eof()


def _websocket_protocol() -> type[asyncio.Protocol]:
    # 14 ms: a process without WebSockets does not pay for them.
    from uvicorn.protocols.websockets.auto import AutoWebSocketsProtocol

    base: Any = AutoWebSocketsProtocol

    class WebSocket(base):  # type: ignore[misc]
        _pong: list[bytes] | None = None

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            # The whole head has arrived: if the library has not understood it, it never will.
            if not getattr(self, "handshake_initiated", True) and not self.transport.is_closing():
                self.transport.write(BAD)
                self.transport.close()

        def handle_ping(self) -> None:
            if self.writable.is_set():
                super().handle_ping()
            else:
                # A client that sends pings and does not read gets one answer when it reads again (RFC 6455, 5.5.3).
                # `data_to_send` returns the answers to all pings of one read at the first of them.
                self._pong = self.conn.data_to_send()[-1:] or self._pong

        def resume_writing(self) -> None:
            super().resume_writing()
            if self._pong:
                self.transport.write(b"".join(self._pong))
                self._pong = None

    return WebSocket


class _Flow(FlowControl):
    """Flow control that reads nothing while requests wait: else each response would let many more in."""

    def __init__(self, transport: asyncio.Transport, protocol: _Protocol) -> None:
        super().__init__(transport)
        self._protocol = protocol

    def resume_reading(self) -> None:
        if not self._protocol.pipeline:
            super().resume_reading()


class _Writer:
    """The writer of a response; the head waits for the body, so that both are sent together."""

    __slots__ = ("_head", "_holds", "_protocol")

    def __init__(self, protocol: _Protocol, holds: bool) -> None:
        self._protocol = protocol
        self._holds = holds
        self._head = b""

    def write(self, data: bytes) -> None:
        if self._head:
            head, self._head = self._head, b""
            if len(data) < JOINED:
                data = head + data
            else:
                self._protocol.transport.write(head)
        elif self._holds and not data.startswith(b"HTTP/1.1 100 "):
            self._head, self._holds = data, False
            return
        self._protocol.transport.write(data)

    def close(self) -> None:
        if self._head:
            self.write(b"")
        self._protocol.close()

    def is_closing(self) -> bool:
        return self._protocol.transport.is_closing()
