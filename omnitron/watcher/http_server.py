"""A small HTTP server on a Unix socket or a TCP port: one GET request per connection."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import stat
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

log = logging.getLogger(__name__)

PATIENCE_S = 5.0
REQUEST_LIMIT = 8192  # bytes
AT_ONCE = 4
"""Requests that are answered at the same time; others wait."""
MOST_CONNECTIONS = 100
"""More connections are closed immediately: supervision needs the descriptors."""

Answer = Callable[[], Awaitable[tuple[str, bytes]]]
"""Returns content type and body."""
Gate = Callable[[str], Mapping[str, Answer] | None]
"""Takes a bearer token (empty for none) and returns the allowed answers by path; None refuses the request."""


class HttpServer:
    """Serves the answers that `gate` allows."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._connections = 0

    async def open_socket(self, path: Path) -> asyncio.Server | None:
        """Listen on a Unix socket for all users; log a failure and return None."""
        try:
            with contextlib.suppress(FileNotFoundError):
                if stat.S_ISSOCK(path.lstat().st_mode):
                    path.unlink()
            server = await asyncio.start_unix_server(self._serve, path, limit=REQUEST_LIMIT)
            path.chmod(0o666)
            return server
        except OSError as error:
            log.error("cannot listen on %s: %s", path, error.strerror or error)
            return None

    async def open_port(self, host: str, port: int) -> asyncio.Server:
        """Listen on a TCP port; raises OSError."""
        return await asyncio.start_server(self._serve, host, port, limit=REQUEST_LIMIT)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._connections >= MOST_CONNECTIONS:
            writer.transport.abort()
            return
        self._connections += 1
        try:
            async with asyncio.timeout(PATIENCE_S):
                request = await reader.readuntil(b"\r\n\r\n")
                async with self._slots:
                    reply = await self._reply(request.decode(errors="replace").split("\r\n"))
                writer.write(reply)
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, OSError, EOFError, asyncio.LimitOverrunError):
            pass  # a client that sends no request, or does not read
        finally:
            # Drop data that the client did not read.
            writer.transport.abort()
            self._connections -= 1

    async def _reply(self, lines: list[str]) -> bytes:
        method, _, rest = lines[0].partition(" ")
        answers = self._gate(_token(lines[1:]))
        if answers is None:
            return _response(
                "401 Unauthorized", "text/plain", b"a bearer token is required\n", "WWW-Authenticate: Bearer"
            )
        if method != "GET":
            return _response("405 Method Not Allowed", "text/plain", b"only GET is allowed\n")
        answer = answers.get(rest.partition(" ")[0].partition("?")[0])
        if answer is None:
            return _response("404 Not Found", "text/plain", "".join(f"{name}\n" for name in answers).encode())
        return _response("200 OK", *await answer())


def _token(headers: list[str]) -> str:
    for line in headers:
        name, _, value = line.partition(":")
        scheme, _, token = value.strip().partition(" ")
        if name.lower() == "authorization" and scheme.lower() == "bearer":
            return token.strip()
    return ""


def _response(status: str, kind: str, body: bytes, *headers: str) -> bytes:
    lines = (f"Content-Type: {kind}", f"Content-Length: {len(body)}", "Connection: close", *headers)
    return "\r\n".join((f"HTTP/1.1 {status}", *lines, "", "")).encode() + body
