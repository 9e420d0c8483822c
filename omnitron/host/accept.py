"""Accepts connections on a listening socket that systemd holds, and that other instances share."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable

log = logging.getLogger(__name__)

OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
PAUSE_S = 0.5


class Acceptor:
    """Takes one connection at a time, so that instances that wait on the same socket each get a share.

    asyncio's own server takes all that wait at once, and calls listen() on a socket that is not its own.
    """

    def __init__(self, listening: socket.socket, protocol: Callable[[], asyncio.BaseProtocol]) -> None:
        self._socket = listening
        self._protocol = protocol
        self._tasks: set[asyncio.Task[None]] = set()
        self.is_accepting = False
        self._again: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to accept."""
        self._loop = asyncio.get_running_loop()
        self._socket.setblocking(False)
        self.is_accepting = True
        self._again = None
        self._loop.add_reader(self._socket, self._accept)

    def stop(self) -> None:
        """Accept no more; the socket stays open, and what waits on it is another's to take."""
        if self._again:
            self._again.cancel()
        if self.is_accepting:
            self.is_accepting = False
            self._loop.remove_reader(self._socket)

    def _accept(self) -> None:
        try:
            connection, _ = self._socket.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another instance was quicker, or the client has gone
        except OSError as error:
            if error.errno not in OUT_OF_RESOURCES:
                raise
            log.error("cannot accept a connection: %s; trying again in %s s", error.strerror, PAUSE_S)
            self.stop()
            self._again = self._loop.call_later(PAUSE_S, self.start)
            return
        connection.setblocking(False)
        task = self._loop.create_task(self._begin(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _begin(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError:
            connection.close()  # it has gone already
