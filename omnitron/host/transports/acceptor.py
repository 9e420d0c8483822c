"""Accepts connections on a listening socket that systemd owns, and that other instances share."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

log = logging.getLogger(__name__)

REST_S = 0.001
"""Pause after a connection, so that another instance accepts the next; without it, one of four got 50 % more."""
PAUSE_S = 0.5
"""Pause after a failure, such as too many open files."""
PATIENCE = 8
"""Pauses with a connection still waiting, until one more is accepted at a time: no other instance is free."""


class Acceptor:
    """Accepts one connection at a time, so that the instances on a shared socket each get a share.

    asyncio's own server accepts all waiting connections at once, and calls listen() on a socket of systemd's.
    """

    def __init__(self, listening: socket.socket, protocol: Callable[[], asyncio.BaseProtocol]) -> None:
        self._socket = listening
        self._protocol = protocol
        self._tasks: set[asyncio.Task[None]] = set()
        self._next: asyncio.TimerHandle | None = None
        self._busy = 0
        self.is_accepting = False
        """False before the start, after the stop, and during the pause after a failure."""

    def start(self) -> None:
        """Begin to accept."""
        self._loop = asyncio.get_running_loop()
        self._socket.setblocking(False)
        self._resume()

    def stop(self) -> None:
        """Accept no more; the socket stays open, and other instances accept the waiting connections."""
        if self._next:
            self._next.cancel()
        if self.is_accepting:
            self.is_accepting = False
            self._loop.remove_reader(self._socket)

    async def settle(self) -> None:
        """Wait until every accepted connection has its protocol."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _resume(self) -> None:
        self.is_accepting = True
        self._loop.add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        try:
            for _ in range(1 + self._busy // PATIENCE):
                self._take(self._socket.accept()[0])
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            self._busy //= 2  # another instance was faster, or the client has left
        except OSError as error:
            log.error("cannot accept a connection: %s; trying again in %s s", error.strerror, PAUSE_S)
            self.stop()
            self._next = self._loop.call_later(PAUSE_S, self._resume)
        else:
            self._busy += 1
            self._loop.remove_reader(self._socket)
            self._next = self._loop.call_later(REST_S, self._resume)

    def _take(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        task = self._loop.create_task(self._begin(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _begin(self, connection: socket.socket) -> None:
        try:
            if connection.family != socket.AF_UNIX:
                # asyncio sets it only on sockets whose protocol number is set.
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError:
            connection.close()  # the client has left
