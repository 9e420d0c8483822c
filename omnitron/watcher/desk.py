"""Answers questions on a Unix socket: HTTP, one request to a connection, nothing but GET."""

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
AT_ONCE = 32
"""Connections that are served at the same time; the others wait."""

Answer = Callable[[], Awaitable[tuple[str, bytes]]]
"""Returns a content type and a body."""


class Desk:
    """A server on a Unix socket. Everybody may ask: there is nothing in it that `systemctl status` hides."""

    def __init__(self, path: Path, answers: Mapping[str, Answer]) -> None:
        self._path = path
        self._answers = answers
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def open(self) -> asyncio.Server | None:
        """Listen; None where that cannot be, which is no reason to stop supervising."""
        try:
            with contextlib.suppress(FileNotFoundError):
                if stat.S_ISSOCK(self._path.lstat().st_mode):
                    self._path.unlink()
            server = await asyncio.start_unix_server(self._serve, self._path, limit=REQUEST_LIMIT)
            self._path.chmod(0o666)
            return server
        except OSError as error:
            log.error("cannot listen on %s: %s", self._path, error.strerror or error)
            return None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S), self._slots:
                request = await reader.readuntil(b"\r\n\r\n")
                writer.write(await self._reply(request.split(b"\r\n", 1)[0].decode(errors="replace")))
                await writer.drain()
        except (TimeoutError, OSError, EOFError, asyncio.LimitOverrunError):
            pass  # a client that does not ask, or does not listen
        finally:
            writer.close()

    async def _reply(self, line: str) -> bytes:
        method, _, rest = line.partition(" ")
        answer = self._answers.get(rest.partition(" ")[0].partition("?")[0])
        if method != "GET":
            return _response("405 Method Not Allowed", "text/plain", b"only GET\n")
        if answer is None:
            return _response("404 Not Found", "text/plain", "".join(f"{name}\n" for name in self._answers).encode())
        return _response("200 OK", *await answer())


def _response(status: str, kind: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body
