"""HTTP on an inherited socket: uvicorn's protocol, with limits for headers and an end that loses no request."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from email.utils import formatdate
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from omnitron.host.accept import Acceptor

LONGEST_HEAD = 64 << 10
"""Bytes of a request's line and headers."""
TICK_S = 1.0
GRACE_S = 2.0
"""How long an idle connection is kept while draining: a request that is on its way to it is still answered."""

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
            ws="auto" if ping else "none",
            ws_max_size=longest_message,
            ws_max_queue=32,
            ws_ping_interval=interval,
            ws_ping_timeout=timeout,
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=keep_alive_s,  # type: ignore[arg-type] # a fraction will do
        )
        self.config.load()
        self.state = ServerState()
        self.headers_s = headers_s
        self._acceptor = Acceptor(listening, self._protocol)
        self._ticker: asyncio.Task[None] | None = None

    def _protocol(self) -> asyncio.Protocol:
        loop = asyncio.get_running_loop()
        protocol = _Protocol(config=self.config, server_state=self.state, app_state={}, _loop=loop)
        protocol.headers_s = self.headers_s
        return protocol

    @property
    def is_accepting(self) -> bool:
        """Whether new connections are taken."""
        return self._acceptor.is_accepting

    def stop(self) -> None:
        """Accept no more; what is connected is served on."""
        self._acceptor.stop()

    def start(self) -> None:
        """Begin to accept."""
        self._set_date()
        self._ticker = asyncio.create_task(self._tick())
        self._acceptor.start()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._set_date()
            now = time.monotonic()
            for connection in list(self.state.connections):
                if isinstance(connection, _Protocol):
                    connection.end_if_slow(now)

    def _set_date(self) -> None:
        self.state.default_headers = [(b"date", formatdate(usegmt=True).encode())]

    async def drain(self, deadline: float) -> None:
        """Accept no more and let every request finish, until `deadline` (monotonic); the application says close.

        A connection that is idle is closed after a grace: its client may be sending at this moment.
        """
        self.stop()
        # Connections that were accepted in this very moment are not yet among them.
        await asyncio.sleep(0)
        grace = min(time.monotonic() + GRACE_S, deadline)
        await self._until_empty(grace)
        for connection in list(self.state.connections):
            connection.shutdown()
        await self._until_empty(deadline)
        for connection in list(self.state.connections):
            with contextlib.suppress(AttributeError):
                connection.transport.abort()
        if self._ticker:
            self._ticker.cancel()

    async def _until_empty(self, moment: float) -> None:
        while (self.state.connections or self.state.tasks) and time.monotonic() < moment:
            await asyncio.sleep(0.01)


class _Protocol(HttpToolsProtocol):
    headers_s = 60.0
    _since: float | None = None
    """When the head of a request began, None while none is on its way."""
    _head = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._since = time.monotonic()
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._since is not None:
            self._head += len(data)
            if self._head > LONGEST_HEAD and not self._ends_the_head(data):
                self._end(TOO_LARGE)
                return
        super().data_received(data)

    def _ends_the_head(self, data: bytes) -> bool:
        return b"\r\n\r\n" in data[: LONGEST_HEAD + 4]

    def on_message_begin(self) -> None:
        if self._since is None:
            self._since, self._head = time.monotonic(), 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._since, self._head = None, 0
        super().on_headers_complete()

    def end_if_slow(self, now: float) -> None:
        """Close a connection whose client takes too long for the head of a request."""
        if self._since is not None and now - self._since > self.headers_s:
            self._end(TOO_SLOW)

    def _end(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()
