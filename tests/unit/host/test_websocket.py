from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from omnitron.host.auth.identity import Identity, Unauthenticated, requires
from omnitron.host.decorators import service
from omnitron.host.rpc.calls import current_call
from omnitron.host.rpc.dispatch import Dispatcher
from omnitron.host.rpc.methods import table
from omnitron.host.transports import http_server
from omnitron.host.transports.http_server import HttpServer
from omnitron.host.transports.topics import Hub
from omnitron.host.transports.web import Web
from omnitron.host.transports.websocket import WebSocket
from tests.support.event_loop import memory, run, until

HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@service
class Tools:
    def __init__(self) -> None:
        self.begun = 0
        self.gate = asyncio.Event()

    async def echo(self, value: Any = None) -> Any:
        self.begun += 1
        return value

    async def wait(self, value: Any = None) -> Any:
        self.begun += 1
        await self.gate.wait()
        return value

    async def blob(self, size: int) -> str:
        self.begun += 1
        return "x" * size

    async def seen(self) -> list[Any]:
        call = current_call()
        assert call
        return [call.identity and call.identity.subject, call.transport, call.trace_id]

    @requires("admin")
    async def admin(self) -> str:
        return "admin"


def verify(token: str) -> Identity:
    if token != "ann":
        raise Unauthenticated("the token is unknown")
    return Identity(token)


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "GRACE_S", 0.1)
    monkeypatch.setattr(http_server, "TICK_S", 0.03)


class Served:
    def __init__(
        self, listening: socket.socket, ping: Any, headers_s: float, longest_message: int, **more: Any
    ) -> None:
        self.tools, self.hub = Tools(), Hub()
        self.web = Web(Dispatcher(table({"Tools": self.tools})), self.hub, http=False, websocket_path="/ws", **more)
        self.server = HttpServer(
            self.web.app, listening, keep_alive_s=5, headers_s=headers_s, ping=ping, longest_message=longest_message
        )

    async def drain(self, seconds: float) -> None:
        """What the transports do at the end of a process."""
        deadline = time.monotonic() + seconds
        self.server.stop()
        await asyncio.gather(self.web.close_sockets(deadline), self.server.drain(deadline))

    @property
    def is_empty(self) -> bool:
        return not (self.server.state.connections or self.server.state.tasks or self.web.sockets or self.hub._clients)


@asynccontextmanager
async def serving(
    listening: socket.socket,
    *,
    ping: tuple[float | None, float | None] = (None, None),
    headers_s: float = 5,
    longest_message: int = 1 << 20,
    **more: Any,
) -> AsyncIterator[Served]:
    served = Served(listening, ping, headers_s, longest_message, **more)
    served.server.start()
    try:
        yield served
    finally:
        served.tools.gate.set()
        await served.drain(0)
        await until(lambda: served.is_empty)


@asynccontextmanager
async def talking(listening: socket.socket, path: str = "/ws", **more: Any) -> AsyncIterator[ClientConnection]:
    host, port = listening.getsockname()
    async with connect(f"ws://{host}:{port}{path}", proxy=None, close_timeout=0.2, **more) as client:
        yield client


@asynccontextmanager
async def deaf(listening: socket.socket) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A client that has shaken hands and then does nothing by itself, not even read."""
    reader, writer = await asyncio.open_connection(*listening.getsockname(), limit=1 << 30)
    try:
        writer.write(HANDSHAKE)
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        yield reader, writer
    finally:
        writer.close()


def frame(message: Any) -> bytes:
    """A message as a client sends it, with a mask that changes nothing."""
    text = json.dumps(message).encode()
    length = bytes([0x80 | len(text)]) if len(text) < 126 else b"\xfe" + len(text).to_bytes(2, "big")
    return b"\x81" + length + b"\0\0\0\0" + text


def call(number: Any, method: str, *params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": f"Tools.{method}", "params": params}


async def asked(client: ClientConnection, message: Any) -> Any:
    await client.send(json.dumps(message))
    return await heard(client)


async def heard(client: ClientConnection) -> Any:
    return json.loads(await client.recv())


async def close_code(client: ClientConnection) -> int:
    with pytest.raises(ConnectionClosed) as caught:
        while True:
            await client.recv()
    assert caught.value.rcvd
    return caught.value.rcvd.code


# Calls


def test_calls_and_their_answers(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening) as served, talking(listening) as client:
            assert await asked(client, call(1, "echo", {"ä": 1})) == {"jsonrpc": "2.0", "id": 1, "result": {"ä": 1}}
            await client.send(json.dumps(call("b", "echo", 2)).encode())  # as binary
            assert (await heard(client))["result"] == 2
            note = {"jsonrpc": "2.0", "method": "Tools.echo"}
            batch = [call(1, "echo", "a"), note, call(2, "none")]
            answers = await asked(client, batch)
            assert [one.get("result", one.get("error", {}).get("code")) for one in answers] == ["a", -32601]
            await client.send(json.dumps(note))
            assert (await asked(client, call(3, "echo", "x" * 900_000)))["result"] == "x" * 900_000
            assert served.tools.begun == 6

    run(test)


def test_what_is_no_call(listening: socket.socket) -> None:
    dice = random.Random(5)

    async def test() -> None:
        async with serving(listening), talking(listening) as client:
            for message in ("", "{", "[" * 100_000, "null", '{"method": "rpc.subscribe"}', b"\xff\xfe"):
                await client.send(message)
                assert (await heard(client))["error"]["code"] in (-32700, -32600)
            for _ in range(200):
                await client.send(dice.randbytes(dice.randrange(30)))
                assert (await heard(client))["error"]["code"] in (-32700, -32600)
            assert (await asked(client, call(1, "echo", 1)))["result"] == 1

    run(test)


def test_calls_overtake_each_other(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening) as served, talking(listening) as client:
            await client.send(json.dumps(call(1, "wait", "slow")))
            assert (await asked(client, call(2, "echo", "fast")))["id"] == 2
            served.tools.gate.set()
            assert (await heard(client))["result"] == "slow"

    run(test)


def test_calls_beyond_what_is_served_at_once_wait(listening: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WebSocket, "AT_ONCE", 5)

    async def test() -> None:
        async with serving(listening) as served, talking(listening) as client:
            for number in range(20):
                await client.send(json.dumps(call(number, "wait", number)))
            await until(lambda: served.tools.begun == 5)
            await asyncio.sleep(0.02)
            assert served.tools.begun == 5
            served.tools.gate.set()
            assert sorted([(await heard(client))["result"] for _ in range(20)]) == list(range(20))

    run(test)


def test_who_does_not_read_answers_is_not_served_on(listening: socket.socket) -> None:
    calls, size = 2000, 20_000

    async def test() -> None:
        async with serving(listening) as served, deaf(listening) as (reader, writer):
            writer.write(b"".join(frame(call(number, "blob", size)) for number in range(calls)))
            begun = -1
            while begun != served.tools.begun or not begun:
                begun = served.tools.begun
                await asyncio.sleep(0.2)
            assert begun < calls / 2
            writer.transport.resume_reading()  # type: ignore[attr-defined]
            for _ in range(calls):
                head = await reader.readexactly(4)
                assert head[:2] == b"\x81\x7e"
                assert b"xxx" in await reader.readexactly(int.from_bytes(head[2:], "big"))
            assert served.tools.begun == calls

    run(test)


# Who may


def test_the_wrong_path(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening) as served:
            for path in ("/", "/ws/", "/ws/x", "/%ff"):
                with pytest.raises(InvalidStatus) as caught:
                    async with talking(listening, path):
                        pass
                assert caught.value.response.status_code == 404
            async with talking(listening, "/ws?token=x") as client:
                assert (await asked(client, call(1, "echo", 1)))["result"] == 1
            await until(lambda: served.is_empty)

    run(test)


def test_tokens_and_roles(listening: socket.socket) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"

    async def test() -> None:
        async with serving(listening, verify=verify) as served:
            for headers in ({}, {"Authorization": "Bearer eve"}):
                with pytest.raises(InvalidStatus) as caught:
                    async with talking(listening, additional_headers=headers):
                        pass
                response = caught.value.response
                assert response.status_code == 401
                assert response.headers["www-authenticate"].startswith('Bearer realm="omnitron"')
            headers = {"Authorization": "Bearer ann", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
            async with talking(listening, additional_headers=headers) as client:
                assert (await asked(client, call(1, "seen")))["result"] == ["ann", "websocket", trace]
                assert (await asked(client, call(1, "admin")))["error"]["code"] == -32003
            await until(lambda: served.is_empty)

    run(test)


# Events


def subscription(topic: Any, verb: str = "subscribe", number: Any = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": f"rpc.{verb}", "params": {"topic": topic}}


def test_events_reach_those_who_subscribed(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening) as served, talking(listening) as one, talking(listening) as other:
            assert await asked(one, subscription("prices")) == {"jsonrpc": "2.0", "id": 1, "result": True}
            assert served.hub.publish("prices", {"pear": 3}) == 1
            event = {"jsonrpc": "2.0", "method": "rpc.event", "params": {"topic": "prices", "data": {"pear": 3}}}
            assert await heard(one) == event
            await asked(other, subscription("prices"))
            assert served.hub.publish("prices", 1) == 2
            assert (await heard(one))["params"]["data"] == (await heard(other))["params"]["data"] == 1
            assert await asked(one, subscription("prices", "unsubscribe")) == {
                "jsonrpc": "2.0",
                "id": 1,
                "result": True,
            }
            assert served.hub.publish("prices", 2) == 1
            await other.close()
            await until(lambda: len(served.web.sockets) == 1)
            assert served.hub.publish("prices", 3) == 0
            assert (await asked(one, call(1, "echo", "no events since")))["result"] == "no events since"

    run(test)


def test_subscriptions_that_cannot_be(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening), talking(listening) as client:
            assert (await asked(client, subscription("x" * 1000)))["error"]["code"] == -32602
            for wrong in (subscription(3), subscription("x", "publish"), {**subscription("x"), "params": ["x"]}):
                assert (await asked(client, wrong))["error"]["code"] == -32601
            assert (await asked(client, call(1, "echo", "rpc.subscribe")))["result"] == "rpc.subscribe"

    run(test)


@pytest.mark.parametrize(("size", "count"), [(100, 30_000), (100_000, 2000)])
def test_events_for_a_client_that_does_not_read(listening: socket.socket, size: int, count: int) -> None:
    async def test() -> None:
        async with serving(listening) as served, deaf(listening) as (reader, writer):
            writer.write(frame(subscription("news")))
            await until(lambda: "news" in served.hub._topics)
            before, told = memory(), 0
            for _ in range(count):
                told += served.hub.publish("news", os.urandom(size // 2).hex())
                if told % 10 == 0:
                    await asyncio.sleep(0)
            # What is kept for it, what the sockets hold, and nothing after that.
            assert 0 < told < count
            assert memory() - before < 40 << 20
            assert served.hub.publish("news", 1) == 0
            # When it reads again it learns why there is no more.
            writer.transport.resume_reading()  # type: ignore[attr-defined]
            said = await reader.readuntil(b"\x88\x02\x03\xf5")
            assert said.endswith((1013).to_bytes(2, "big"))

    run(test)


def test_who_does_not_read_at_all_is_cut_off(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening, headers_s=0.2) as served, deaf(listening) as (_, writer):
            writer.write(frame(subscription("news")))
            await until(lambda: "news" in served.hub._topics)
            while served.hub.publish("news", "x" * 100_000):
                await asyncio.sleep(0)
            await until(lambda: served.is_empty)

    run(test)


# Limits


def test_a_message_that_is_too_long(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening, longest_message=1000) as served:
            async with talking(listening) as client:
                await client.send(json.dumps(call(1, "echo", "x" * 1000)))
                assert await close_code(client) == 1009
            async with talking(listening) as client:
                # In pieces, and compressed to next to nothing.
                with suppress(ConnectionClosed):
                    await client.send(["x" * 400 for _ in range(5)])
                assert await close_code(client) == 1009
            assert served.tools.begun == 0

    run(test)


def test_peers_that_do_not_answer_pings(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening, ping=(0.05, 0.1)) as served, talking(listening) as client:
            async with deaf(listening):
                await until(lambda: len(served.web.sockets) == 2)
                began = time.monotonic()
                await until(lambda: len(served.web.sockets) == 1)
                assert 0.1 < time.monotonic() - began < 10  # it would be never
            # Who does answer stays.
            await asyncio.sleep(0.2)
            assert (await asked(client, call(1, "echo", 1)))["result"] == 1

    run(test)


def test_half_open_peers_with_something_to_read(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening, ping=(0.05, 0.05), headers_s=0.2) as served, deaf(listening) as (_, writer):
            writer.write(frame(subscription("news")))
            await until(lambda: "news" in served.hub._topics)
            for _ in range(60):
                served.hub.publish("news", "x" * 100_000)
            # It never reads: its buffer cannot be emptied, and must not be waited for.
            await until(lambda: served.is_empty)

    run(test)


def test_connections_that_are_dropped_with_calls_in_flight(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening) as served:
            for number in range(100):
                async with deaf(listening) as (_, writer):
                    writer.write(frame(call(1, "wait", "x" * 1000)) + frame(subscription(f"t{number}")))
                    await asyncio.sleep(0)
                    if number % 2:
                        writer.transport.abort()
            served.tools.gate.set()
            await until(lambda: served.is_empty)
            async with talking(listening) as client:
                assert (await asked(client, call(1, "echo", 1)))["result"] == 1

    run(test)


# Draining


def test_draining_answers_what_is_in_flight_and_says_why_it_ends(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening) as served, talking(listening) as busy, talking(listening) as idle:
            await busy.send(json.dumps(call(1, "wait", "done")))
            await asked(idle, subscription("news"))
            await until(lambda: served.tools.begun == 1)
            draining = asyncio.create_task(served.drain(5))
            assert await close_code(idle) == 1012
            # Longer than the grace that idle connections get.
            await asyncio.sleep(http_server.GRACE_S + 0.05)
            # What comes now is not begun: the client learns that it has to ask another.
            await busy.send(json.dumps(call(2, "echo")))
            await asyncio.sleep(0.02)
            assert served.tools.begun == 1 and not draining.done()
            served.tools.gate.set()
            assert await heard(busy) == {"jsonrpc": "2.0", "id": 1, "result": "done"}
            assert await close_code(busy) == 1012
            await draining
            assert served.is_empty

    run(test)


def test_draining_does_not_wait_beyond_its_time(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening) as served, talking(listening) as busy, deaf(listening):
            await busy.send(json.dumps(call(1, "wait")))
            await until(lambda: served.tools.begun == 1)
            began = time.monotonic()
            await served.drain(0.2)
            assert time.monotonic() - began < 10  # it would be never
            assert await close_code(busy) == 1012

    run(test)


def test_whoever_comes_while_draining_is_sent_away(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening) as served, talking(listening) as busy:
            await busy.send(json.dumps(call(1, "wait")))
            reader, writer = await asyncio.open_connection(*listening.getsockname())
            await until(lambda: len(served.server.state.connections) == 2 and served.tools.begun == 1)
            draining = asyncio.create_task(served.drain(5))
            await asyncio.sleep(0.01)
            writer.write(HANDSHAKE)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 503 ")
            writer.close()
            served.tools.gate.set()
            assert await close_code(busy) == 1012
            await draining

    run(test)


def test_a_failure_of_the_dispatcher_ends_the_connection(
    listening: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(message: bytes, call: Any) -> bytes:
        raise RuntimeError("a bug")

    async def test() -> None:
        async with serving(listening) as served, talking(listening) as client:
            served.web.dispatcher.answer = broken  # type: ignore[method-assign]
            await client.send(json.dumps(call(1, "echo")))
            assert await close_code(client) == 1011

    run(test)
    assert caplog.messages == ["a call was not answered: its connection is closed"]
