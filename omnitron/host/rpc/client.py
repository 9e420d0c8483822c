"""Calls services of other processes over their Unix socket."""

from __future__ import annotations

import asyncio
import itertools
import socket
import time
from typing import TYPE_CHECKING, Any

import msgspec

from omnitron.host.rpc import errors
from omnitron.host.rpc.calls import child_span, current_call, new_trace
from omnitron.host.rpc.errors import RpcError

if TYPE_CHECKING:
    from omnitron.host.telemetry.tracing import Tracing

DEADLINE_S = 30.0
"""The default deadline of a call."""
CONNECTIONS = 8
"""Connections of one client: enough to reach every instance of a pool."""
CONNECTION_LIFE_S = 60.0
"""Age at which a connection is replaced, so that new instances get calls too."""
MAX_WAITING = 10_000
"""Calls that may wait for answers on one client; further calls fail at once."""
LONGEST_LINE = 16 << 20
"""Bytes of one message to a service."""
LONGEST_ANSWER = 64 << 20
"""Bytes of one message from a service."""
QUEUE_FULL_S = 0.01
"""Pause before the next attempt when the queue of a socket is full."""


class _Call(msgspec.Struct, omit_defaults=True):
    method: str
    params: Any
    id: int
    deadline: float | None = None
    traceparent: str | None = None
    jsonrpc: str = "2.0"

    # `omit_defaults` leaves out `jsonrpc`, which the protocol requires.
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


class _NotSentError(Exception):
    """A call that the service has not received: it may be sent again."""


_encode = msgspec.json.Encoder().encode
_answer = msgspec.json.Decoder(_Answer)


class Client:
    """Calls what listens on one Unix socket, over a few connections that are opened as they are needed."""

    def __init__(self, path: str, tracer: Tracing | None = None) -> None:
        """Take the socket's path; nothing is opened yet."""
        self.path = path
        self._connections: list[_Connection] = []
        self._opening = asyncio.Lock()
        self._waiting = 0
        self._tracer = tracer

    async def call(self, method: str, params: Any, *, deadline_s: float | None = None) -> msgspec.Raw:
        """Return the result of a call, still encoded; raises RpcError, from the service or when it cannot be reached.

        The deadline of the call that is being served here applies where it is earlier.
        """
        if self._tracer is None:
            return await self._bounded(method, params, deadline_s)
        with self._tracer.calling(method, self.path) as span:
            return await self._bounded(method, params, deadline_s, span.traceparent)

    async def _bounded(
        self, method: str, params: Any, deadline_s: float | None, trace: str | None = None
    ) -> msgspec.Raw:
        if self._waiting >= MAX_WAITING:
            raise RpcError(errors.BUSY, f"too many calls wait for {self.path}")
        outer = current_call()
        left = DEADLINE_S if deadline_s is None else deadline_s
        inherited = outer.remaining() if outer else None
        left = max(0.0, left if inherited is None else min(left, inherited))
        trace = trace or child_span(outer.traceparent if outer else None) or new_trace()
        self._waiting += 1
        try:
            async with asyncio.timeout(left):
                return await self._call(method, params, time.monotonic() + left, trace)
        except TimeoutError:
            raise RpcError(errors.DEADLINE_EXCEEDED, f"{method} did not answer within {left:.3g} s") from None
        finally:
            self._waiting -= 1

    async def _call(self, method: str, params: Any, deadline: float, trace: str) -> msgspec.Raw:
        # Each open connection may turn out to be dead when it is used; one that is opened after them is new.
        for _ in range(CONNECTIONS + 1):
            connection = self._least_busy()
            if connection is None or (connection.waiting and self._may_open):
                connection = await self._open()
            try:
                return await connection.call(method, params, deadline, trace)
            except _NotSentError:
                continue
        raise RpcError(errors.UNAVAILABLE, f"the service cannot be reached at {self.path}: it ends every connection")

    def _least_busy(self) -> _Connection | None:
        eldest = time.monotonic() - CONNECTION_LIFE_S
        for connection in self._connections:
            if connection.opened < eldest:
                connection.retire()
        self._connections = [connection for connection in self._connections if connection.usable]
        return min(self._connections, key=_Connection.load, default=None)

    @property
    def _may_open(self) -> bool:
        return len(self._connections) < CONNECTIONS and not self._opening.locked()

    async def _open(self) -> _Connection:
        """Return a new connection, or the least busy one if another task has opened one meanwhile."""
        async with self._opening:
            best = self._least_busy()
            if best and (not best.waiting or len(self._connections) >= CONNECTIONS):
                return best
            try:
                connection = await _connect(self.path)
            except OSError as error:
                if best and best.usable:
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


async def _connect(path: str) -> _Connection:
    connecting = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        # On a Unix socket EAGAIN means that the queue is full; asyncio would treat it as EINPROGRESS.
        while True:
            try:
                connecting.connect(path)
                break
            except BlockingIOError:
                await asyncio.sleep(QUEUE_FULL_S)
    except BaseException:
        connecting.close()
        raise
    _, connection = await asyncio.get_running_loop().create_unix_connection(_Connection, sock=connecting)
    return connection


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self.opened = time.monotonic()
        self.usable = True
        self._error: RpcError | None = None
        """The error that every further call gets."""
        self._futures: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self._numbers = itertools.count(1)
        self._buffer = bytearray()
        self._searched = 0
        self._room = asyncio.Event()
        self._room.set()

    @property
    def waiting(self) -> int:
        """Calls without an answer yet."""
        return len(self._futures)

    def load(self) -> tuple[bool, int]:
        """Return a sort key: connections with less load come first."""
        return not self._room.is_set(), len(self._futures)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._loop = asyncio.get_running_loop()

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    async def call(self, method: str, params: Any, deadline: float, trace: str) -> msgspec.Raw:
        while not self._room.is_set():
            # While the service reads nothing, calls wait here and do not fill the write buffer.
            await self._room.wait()
        if self._error:
            raise RpcError(self._error.code, self._error.message)
        if not self.usable:
            raise _NotSentError
        number = next(self._numbers)
        message = _Call(method, params, number, round(deadline - time.monotonic(), 6), trace).encoded()
        if len(message) > LONGEST_LINE:
            raise RpcError(errors.INVALID_REQUEST, f"a message holds at most {LONGEST_LINE} bytes")
        future: asyncio.Future[msgspec.Raw] = self._loop.create_future()
        self._futures[number] = future
        try:
            self._write(message)
            return await future
        finally:
            del self._futures[number]
            if future.done() and not future.cancelled():
                future.exception()  # else asyncio logs an exception that was never retrieved
            self._leave_when_done()

    def _write(self, message: bytes) -> None:
        before = self._transport.get_write_buffer_size()
        self._transport.write(message)
        if not before and self._transport.is_closing():
            self.usable = False
            raise _NotSentError

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\n", self._searched)) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            self._searched = 0
            self._take(line)
        self._searched = len(self._buffer)
        if len(self._buffer) > LONGEST_ANSWER:
            self._give_up(RpcError(errors.UNAVAILABLE, f"an answer holds at most {LONGEST_ANSWER} bytes"))

    def _take(self, line: bytes) -> None:
        try:
            answer = _answer.decode(line)
        except (msgspec.MsgspecError, RecursionError):
            self._give_up(_unreachable("its answer is not JSON-RPC"))
            return
        if answer.method == "rpc.draining":
            self.retire()
        elif answer.id is None:
            if answer.error:
                # An error without an id is about the connection: no permission, or an unreadable message.
                self._give_up(RpcError(answer.error.code, answer.error.message))
        elif (future := self._futures.get(answer.id)) and not future.done():
            if answer.error:
                future.set_exception(RpcError(answer.error.code, answer.error.message, answer.error.data))
            else:
                future.set_result(answer.result)

    def retire(self) -> None:
        """Take no more calls; close when the waiting calls have their answers."""
        self.usable = False
        self._leave_when_done()

    def _leave_when_done(self) -> None:
        if not self.usable and not self._futures:
            self._transport.close()

    def _give_up(self, error: RpcError) -> None:
        self._error = error
        self._fail(error)
        self._transport.abort()

    def _fail(self, error: RpcError) -> None:
        self.usable = False
        self._buffer.clear()
        self._room.set()
        for future in self._futures.values():
            if not future.done():
                future.set_exception(RpcError(error.code, error.message))

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(_unreachable("the connection was lost before it answered"))

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()


def _unreachable(why: str) -> RpcError:
    return RpcError(errors.UNAVAILABLE, f"the service cannot be reached: {why}")
