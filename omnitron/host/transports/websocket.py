"""JSON-RPC over a WebSocket: calls and their answers, and the events of topics."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

import msgspec

from omnitron.host.rpc import errors
from omnitron.host.rpc.calls import Call
from omnitron.host.rpc.dispatch import Dispatcher
from omnitron.host.transports.topics import Hub

log = logging.getLogger(__name__)

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class _Topic(msgspec.Struct):
    topic: str


class _Subscription(msgspec.Struct):
    method: str
    params: _Topic
    id: str | int | float | None = None


class WebSocket:
    """One WebSocket: JSON-RPC calls, and the events of the topics that it has subscribed to."""

    AT_ONCE = 64
    """Calls at once; further calls wait in the connection, also while the client reads no answers."""
    EVENTS = 1000
    """Events that may wait for a client that does not read; one more closes the connection."""
    EVENT_BYTES = 8 << 20
    """Bytes of the waiting events, with the same effect."""

    def __init__(self, dispatcher: Dispatcher, hub: Hub, call: Call, receive: Receive, send: Send) -> None:
        """Take the dispatcher, and the context of every call."""
        self._dispatcher = dispatcher
        self._hub = hub
        self._call = call
        self._receive = receive
        self._send = send
        self._running: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(self.AT_ONCE)
        self._events: deque[bytes] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._code: int | None = None
        """The close code, once it is to be closed."""
        self._takes_calls = True

    async def serve(self) -> None:
        """Accept it, and serve it until its client leaves or it is closed."""
        await self._send({"type": "websocket.accept"})
        writer = asyncio.create_task(self._write())
        try:
            while (message := await self._receive())["type"] == "websocket.receive":
                if self._takes_calls:
                    await self._slots.acquire()
                    text = message.get("text")
                    self._begin(text.encode() if text is not None else message["bytes"])
        finally:
            writer.cancel()
            await asyncio.gather(writer, *self._running, return_exceptions=True)
            self._hub.leave(self)

    def _begin(self, message: bytes) -> None:
        task = asyncio.create_task(self._answer(message))
        self._running.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._slots.release()
        if not task.cancelled() and (error := task.exception()):
            log.error("a call was not answered: its connection is closed", exc_info=error)
            self._end(1011)

    async def _answer(self, message: bytes) -> None:
        answer = self._own(message) or await self._dispatcher.answer(message, self._call)
        if answer is not None:
            await self._say(answer)

    def _own(self, message: bytes) -> bytes | None:
        """Answer `rpc.subscribe` and `rpc.unsubscribe`, which concern the connection itself; None for other methods."""
        if b"rpc." not in message:
            return None
        try:
            request = msgspec.json.decode(message, type=_Subscription)
        except (msgspec.MsgspecError, RecursionError):
            return None
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": request.id, "result": True}
        try:
            if request.method == "rpc.subscribe":
                self._hub.subscribe(self, request.params.topic, self._deliver)
            elif request.method == "rpc.unsubscribe":
                self._hub.unsubscribe(self, request.params.topic)
            else:
                return None
        except ValueError as error:
            del answer["result"]
            answer["error"] = {"code": errors.INVALID_PARAMS, "message": str(error)}
        return msgspec.json.encode(answer)

    def _deliver(self, event: bytes) -> None:
        self._events.append(event)
        self._bytes += len(event)
        if len(self._events) > self.EVENTS or self._bytes > self.EVENT_BYTES:
            self._hub.leave(self)
            self._events.clear()
            self._bytes = 0
            self._end(1013)
        self._wake.set()

    async def _write(self) -> None:
        while True:
            while self._events:
                event = self._events.popleft()
                self._bytes -= len(event)
                await self._say(event)
            if self._code is not None:
                with suppress(OSError):
                    await self._send({"type": "websocket.close", "code": self._code})
                return
            self._wake.clear()
            await self._wake.wait()

    async def _say(self, message: bytes) -> None:
        try:
            await self._send({"type": "websocket.send", "text": message.decode()})
        except (OSError, RuntimeError):
            # The client has left, or the socket was closed meanwhile.
            if self._code is None:
                self._end(1011)

    async def close(self, code: int) -> None:
        """Take no more calls, answer those that run, then close."""
        self._takes_calls = False
        await asyncio.gather(*self._running, return_exceptions=True)
        self._end(code)

    def _end(self, code: int) -> None:
        if self._code is None:
            self._code = code
        self._takes_calls = False
        self._wake.set()


async def deny(scope: MutableMapping[str, Any], send: Send, status: int, *headers: tuple[bytes, bytes]) -> None:
    """Refuse a WebSocket, with an HTTP status if the server can send one, else it is 403."""
    if "websocket.http.response" in scope.get("extensions", {}):
        await send({"type": "websocket.http.response.start", "status": status, "headers": list(headers)})
        await send({"type": "websocket.http.response.body", "body": b""})
    else:
        await send({"type": "websocket.close", "code": 1008})
