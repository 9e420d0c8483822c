"""JSON-RPC over a Unix socket: one message per line, both ways; a `GET /metrics` is answered too."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import pwd
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

import msgspec

from omnitron.host.auth.identity import Identity
from omnitron.host.rpc import errors
from omnitron.host.rpc.calls import Call
from omnitron.host.rpc.client import LONGEST_LINE
from omnitron.host.rpc.dispatch import Dispatcher
from omnitron.host.transports.acceptor import Acceptor

log = logging.getLogger(__name__)

AT_ONCE = 256
"""Calls at once on one connection; at the limit, no more is read until one is done."""
DRAINING = b'{"jsonrpc":"2.0","method":"rpc.draining"}\n'
"""Tells a client to send its next calls over another connection."""
LINGER_S = 1.0
"""Time for a client to read the last message before its connection closes."""


class UnixServer:
    """Serves a dispatcher on a listening socket, to permitted users."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        listening: socket.socket,
        *,
        may_call: Callable[[int], bool],
        pages: Callable[[str], str | None] = lambda path: None,
    ) -> None:
        """Take a listening socket; `may_call` decides about the UID of a peer, `pages` returns the text for a `GET`."""
        self.dispatcher = dispatcher
        self.may_call = may_call
        self.pages = pages
        self.connections: set[_Connection] = set()
        self.context = contextvars.copy_context()
        """The context in which every call starts."""
        self._acceptor = Acceptor(listening, lambda: _Connection(self))

    def start(self) -> None:
        """Begin to accept."""
        self._acceptor.start()

    @property
    def is_accepting(self) -> bool:
        """Return whether new connections are accepted."""
        return self._acceptor.is_accepting

    def stop(self) -> None:
        """Accept no more; open connections are still served."""
        self._acceptor.stop()

    async def drain(self, grace_s: float) -> None:
        """Accept no more, let clients finish and leave, and close the remaining connections after the grace."""
        self.stop()
        await self._acceptor.settle()
        for connection in list(self.connections):
            connection.ask_to_leave()
        try:
            async with asyncio.timeout(grace_s):
                while self.connections:
                    await asyncio.wait([connection.closed for connection in self.connections])
        except TimeoutError:
            for connection in list(self.connections):
                connection.close()


def peer_uid(connection: socket.socket) -> int:
    """Return the UID of the process at the other end, as it was when it connected."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])


def only(users: frozenset[str]) -> Callable[[int], bool]:
    """Return a check of UIDs that permits root, this process's own user and `users`."""

    def may_call(uid: int) -> bool:
        if uid in (0, os.geteuid()):
            return True
        # Looked up each time: a dynamic user has a UID only while its service runs.
        try:
            return pwd.getpwuid(uid).pw_name in users
        except KeyError:
            return False

    return may_call


class _Connection(asyncio.Protocol):
    def __init__(self, server: UnixServer) -> None:
        self._server = server
        self._buffer = bytearray()
        self._searched = 0
        self._out: list[bytes] = []
        self._running: set[asyncio.Task[None]] = set()
        self._call = Call()
        self._page_line: bytes | None = None
        """The first line of an HTTP request, until its headers are over."""
        self._is_writable = True
        self._eof = False
        """True when the client sends no more."""
        self._ended = False
        """True when nothing more is served; further data is discarded."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self.closed = self._loop.create_future()
        self._server.connections.add(self)
        uid = peer_uid(transport.get_extra_info("socket"))
        if not self._server.may_call(uid):
            self._refuse(errors.FORBIDDEN, f"not permitted: user {uid} may not call this process")
            return
        self._call = Call(Identity(f"uid:{uid}", trusted=True), transport="unix")

    # --- messages ---

    def data_received(self, data: bytes) -> None:
        if not self._ended:
            self._buffer += data
            self._take()

    @property
    def _is_full(self) -> bool:
        # No more calls are served for a client that does not read its answers.
        return len(self._running) >= AT_ONCE or not self._is_writable

    def _take(self) -> None:
        """Begin the calls that have arrived, up to the limit; the others wait in the buffer and the socket."""
        while not self._ended and not self._is_full:
            end = self._buffer.find(b"\n", self._searched)
            if end < 0:
                self._searched = len(self._buffer)
                break
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            self._searched = 0
            self._line(line)
        if self._ended:
            return
        if self._is_full:
            self._transport.pause_reading()
        elif len(self._buffer) > LONGEST_LINE:
            self._refuse(errors.INVALID_REQUEST, f"a message holds at most {LONGEST_LINE} bytes")
        elif not self._eof:
            self._transport.resume_reading()
        elif not self._running:
            self._end()

    def _line(self, line: bytes) -> None:
        if self._page_line is not None:
            if not line.strip():
                self._page(self._page_line)
        elif line.startswith(b"GET "):
            self._page_line = line
        elif line and not line.isspace():
            # A context of its own: the current one may be that of a call that has just ended.
            task = self._loop.create_task(self._serve(line), context=self._server.context.copy())
            self._running.add(task)
            task.add_done_callback(self._done)

    async def _serve(self, line: bytes) -> None:
        answer = await self._server.dispatcher.answer(line, self._call)
        if answer is not None:
            self._send(answer)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("a call was not answered: its connection is closed", exc_info=error)
            self.close()
        if self._ended or self._transport.is_closing():
            return
        if self._buffer or self._eof or len(self._running) == AT_ONCE - 1:
            self._take()

    def pause_writing(self) -> None:
        self._is_writable = False
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._is_writable = True
        self._take()

    def _send(self, answer: bytes) -> None:
        # Answers of the same iteration of the loop are sent in one system call.
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(answer)

    def _flush(self) -> None:
        if self._out and not self._ended and not self._transport.is_closing():
            self._transport.write(b"\n".join((*self._out, b"")))
        self._out.clear()

    def _page(self, line: bytes) -> None:
        """Answer an HTTP request for a page."""
        words = line.decode("latin-1").split()
        text = self._server.pages(words[1]) if len(words) == 3 else None
        status = "200 OK" if text is not None else "404 Not Found"
        body = (text if text is not None else "no such page\n").encode()
        head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
        self._transport.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        self._end()

    # --- the end ---

    def eof_received(self) -> bool:
        if self._ended:
            return False
        # The client sends no more, its last line may lack a newline, and it still waits for answers.
        self._eof = True
        self._buffer += b"\n\n"
        self._take()
        return not self._transport.is_closing()

    def _refuse(self, code: int, message: str) -> None:
        error = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}}
        self._transport.write(msgspec.json.encode(error) + b"\n")
        self._end()

    def _end(self) -> None:
        """Send the ready answers, and close, not at once while the client may be sending: a reset would lose them."""
        self._flush()
        self._ended = True
        self._buffer.clear()
        if self._eof:
            self._transport.close()
            return
        self._transport.resume_reading()
        if not self._transport.get_write_buffer_size():
            with suppress(OSError):
                self._transport.write_eof()
        self._loop.call_later(LINGER_S, self._transport.close)

    def ask_to_leave(self) -> None:
        """Tell the client to use another connection; calls that still arrive on this one are served."""
        if not self._ended and not self._transport.is_closing():
            self._transport.write(DRAINING)

    def close(self) -> None:
        """Close at once."""
        self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._server.connections.discard(self)
        self._ended = True
        self._buffer.clear()
        if not self.closed.done():
            self.closed.set_result(None)
