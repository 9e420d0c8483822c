"""Calls services of other processes over their Unix socket."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any

import msgspec

from omnitron.host import errors
from omnitron.host.calls import child_span, current_call, new_trace
from omnitron.host.errors import RpcError

DEADLINE_S = 30.0
"""How long a call waits for its answer where nobody says otherwise."""
CONNECTIONS = 8
"""Connections of one client: enough to reach every instance of a pool."""
CONNECTION_LIFE_S = 60.0
"""Age at which a connection is replaced, so that instances that were added get their share."""
MAX_WAITING = 10_000
"""Calls that wait for answers on one client; more fail at once."""


class _Call(msgspec.Struct, omit_defaults=True):
    method: str
    params: Any
    id: int
    deadline: float | None = None
    traceparent: str | None = None
    jsonrpc: str = "2.0"

    # `jsonrpc` has to be said although it is the default.
    def encoded(self) -> bytes:
        return b'{"jsonrpc":"2.0",' + _encode(self)[1:] + b"\n"


class _Refusal(msgspec.Struct):
    code: int
    message: str
    data: Any = None


class _Answer(msgspec.Struct):
    id: int | None = None
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: _Refusal | None = None
    method: str | None = None


_encode = msgspec.json.Encoder().encode
_answer = msgspec.json.Decoder(_Answer)


class Client:
    """Calls what listens on one Unix socket, over a few connections that are opened as they are needed."""

    def __init__(self, path: str) -> None:
        """Take the socket's path; nothing is opened yet."""
        self.path = path
        self._connections: list[_Connection] = []
        self._waiting = 0

    async def call(self, method: str, params: Any, *, deadline_s: float | None = None) -> msgspec.Raw:
        """Return the result of a call, still encoded; raises RpcError, what the service said or why it was not reached.

        The deadline is that of the call which is being served here, where it is earlier.
        """
        if self._waiting >= MAX_WAITING:
            raise RpcError(errors.BUSY, f"too many calls wait for {self.path}")
        outer = current_call()
        left = DEADLINE_S if deadline_s is None else deadline_s
        inherited = outer.remaining() if outer else None
        left = left if inherited is None else min(left, inherited)
        trace = child_span(outer.traceparent if outer else None) or new_trace()
        self._waiting += 1
        try:
            async with asyncio.timeout(left):
                connection = await self._connection()
                return await connection.call(method, params, left, trace)
        except TimeoutError:
            raise RpcError(errors.DEADLINE_EXCEEDED, f"{method} did not answer within {left:.3g} s") from None
        finally:
            self._waiting -= 1

    async def _connection(self) -> _Connection:
        now = time.monotonic()
        usable = []
        for connection in self._connections:
            if now - connection.opened > CONNECTION_LIFE_S:
                connection.retire()
            if connection.usable:
                usable.append(connection)
        self._connections = usable
        best = min(usable, key=lambda connection: connection.waiting, default=None)
        if best is not None and (best.waiting == 0 or len(usable) >= CONNECTIONS):
            return best
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_unix_connection(_Connection, self.path)
        except OSError as error:
            if best is not None:
                return best
            why = (error.strerror or str(error)).lower()
            raise RpcError(errors.UNAVAILABLE, f"the service cannot be reached at {self.path}: {why}") from None
        self._connections.append(connection)
        return connection

    def close(self) -> None:
        """Close every connection; what still waits fails."""
        for connection in self._connections:
            connection.abort()
        self._connections.clear()


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self.opened = time.monotonic()
        self.usable = True
        self._futures: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self._numbers = itertools.count(1)
        self._buffer = bytearray()
        self._searched = 0

    @property
    def waiting(self) -> int:
        return len(self._futures)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._loop = asyncio.get_running_loop()

    async def call(self, method: str, params: Any, deadline_s: float, trace: str) -> msgspec.Raw:
        number = next(self._numbers)
        future: asyncio.Future[msgspec.Raw] = self._loop.create_future()
        self._futures[number] = future
        try:
            self._transport.write(_Call(method, params, number, round(deadline_s, 6), trace).encoded())
            return await future
        finally:
            self._futures.pop(number, None)
            self._leave_when_done()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\n", self._searched)) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            self._searched = 0
            self._take(line)
        self._searched = len(self._buffer)

    def _take(self, line: bytes) -> None:
        try:
            answer = _answer.decode(line)
        except (msgspec.MsgspecError, RecursionError):
            self._fail("it answers with what is not JSON-RPC")
            return
        if answer.method == "rpc.draining":
            self.retire()
            return
        future = self._futures.get(answer.id) if answer.id is not None else None
        if answer.id is None and answer.error:
            self._fail(answer.error.message)
        elif future and not future.done():
            if answer.error:
                future.set_exception(RpcError(answer.error.code, answer.error.message, answer.error.data))
            else:
                future.set_result(msgspec.Raw(bytes(answer.result)))

    def retire(self) -> None:
        """Take no more calls; close when those that wait have their answers."""
        self.usable = False
        self._leave_when_done()

    def _leave_when_done(self) -> None:
        if not self.usable and not self._futures:
            self._transport.close()

    def _fail(self, why: str) -> None:
        self.usable = False
        for future in self._futures.values():
            if not future.done():
                future.set_exception(RpcError(errors.UNAVAILABLE, f"the service cannot be reached: {why}"))
        self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._fail("the connection was lost before it answered")

    def abort(self) -> None:
        self._transport.abort()
