from __future__ import annotations

import asyncio
import gc
import itertools
import random
import socket
import struct
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from importlib.util import find_spec
from typing import Any

import pytest

from omnitron.host.transports import http_server
from omnitron.host.transports.http_server import HttpServer
from tests.support.event_loop import memory, run, until

mark: ContextVar[str] = ContextVar("mark", default="clean")
LEGACY = find_spec("uvicorn.protocols.websockets.websockets_sansio_impl") is None
"""With uvicorn 0.32 the WebSocket library does not look for a body in the head of an upgrade."""

UPGRADE = (
    b"Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)


class App:
    """What is served; each path shows something."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.begun = 0
        self.seen: list[Any] = []
        self.disconnects = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.begun += 1
        if scope["type"] == "websocket":
            await self._websocket(receive, send)
            return
        self.seen.append(scope["path"])
        if scope["path"] == "/body":
            body = b""
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    self.disconnects += 1
                    return
                body += message["body"]
                if not message["more_body"]:
                    break
            await self._answer(send, b"%d" % len(body))
        elif scope["path"] == "/wait":
            await self.gate.wait()
            await self._answer(send, b"waited")
        elif scope["path"] == "/mark":
            before = mark.get()
            mark.set("dirty")
            await receive()
            await self._answer(send, before.encode())
        elif scope["path"] == "/big":
            await self._answer(send, b"x" * (8 << 20))
        elif scope["path"] == "/stream":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for piece in (b"one", b"two"):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                await self.gate.wait()
            await send({"type": "http.response.body", "body": b""})
        elif scope["path"] == "/half":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
            raise RuntimeError("on purpose")
        else:
            await self._answer(send, scope["raw_path"])

    async def _answer(self, send: Any, body: bytes) -> None:
        length = (b"content-length", b"%d" % len(body))
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": body})

    async def _websocket(self, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "GRACE_S", 0.1)
    monkeypatch.setattr(http_server, "LINGER_S", 0.15)
    monkeypatch.setattr(http_server, "TICK_S", 0.03)


@asynccontextmanager
async def serving(
    listening: socket.socket, *, keep_alive_s: float = 5, headers_s: float = 5, **more: Any
) -> AsyncIterator[tuple[HttpServer, App]]:
    app = App()
    server = HttpServer(app, listening, keep_alive_s=keep_alive_s, headers_s=headers_s, **more)
    server.start()
    try:
        yield server, app
    finally:
        app.gate.set()
        await server.drain(time.monotonic())
        while server.state.connections or server.state.tasks:
            await asyncio.sleep(0)


class Talk:
    """A client that sends bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    def ask(self, path: str, *headers: str, method: str = "GET") -> None:
        self.say("\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode())

    async def heard(self, *, has_body: bool = True) -> tuple[int, dict[str, str], bytes]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        length = int(headers.get("content-length", 0)) if has_body else 0
        return int(first.split()[1]), headers, await self.reader.readexactly(length)

    async def rest(self) -> bytes:
        """What comes until the end; a connection that is reset has ended too."""
        data = b""
        with suppress(ConnectionResetError):
            while piece := await self.reader.read(1 << 20):
                data += piece
        return data


@asynccontextmanager
async def talking(listening: socket.socket) -> AsyncIterator[Talk]:
    reader, writer = await asyncio.open_connection(*listening.getsockname(), limit=64 << 20)
    try:
        yield Talk(reader, writer)
    finally:
        writer.close()


# Requests and responses


def test_a_connection_carries_many_requests(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening), talking(listening) as talk:
            for number in range(5):
                talk.ask(f"/{number}")
                status, headers, body = await talk.heard()
                assert (status, body) == (200, b"/%d" % number)
                assert headers.keys() == {"date", "content-length"}

    run(test)


def test_a_response_leaves_in_one_packet(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening), talking(listening) as talk:
            talk.ask("/hello")
            assert (await talk.reader.read(1000)).endswith(b"\r\n\r\n/hello")

    run(test)


def test_the_head_of_a_stream_does_not_wait_for_its_end(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening) as (_, app), talking(listening) as talk:
            talk.ask("/stream")
            assert (await talk.reader.readuntil(b"one\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
            app.gate.set()
            assert await talk.reader.readuntil(b"0\r\n\r\n") == b"3\r\ntwo\r\n0\r\n\r\n"

    run(test)


def test_only_the_head_of_a_response_to_head(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening), talking(listening) as talk:
            talk.ask("/hello", method="HEAD")
            status, headers, _ = await talk.heard(has_body=False)
            assert (status, headers["content-length"]) == (200, "6")
            talk.ask("/next")
            assert (await talk.heard())[2] == b"/next"

    run(test)


def test_large_bodies_both_ways(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening), talking(listening) as talk:
            talk.ask("/body", "Content-Length: 5000000", method="POST")
            talk.say(b"y" * 5_000_000)
            assert (await talk.heard())[2] == b"5000000"
            talk.ask("/body", "Transfer-Encoding: chunked", method="POST")
            for _ in range(100):
                talk.say(b"2710\r\n" + b"z" * 10_000 + b"\r\n")
            talk.say(b"0\r\nTrailer: x\r\n\r\n")
            assert (await talk.heard())[2] == b"1000000"
            talk.ask("/big")
            assert await talk.heard() == (200, _any_headers, b"x" * (8 << 20))

    run(test)


class _Anything:
    def __eq__(self, other: object) -> bool:
        return True


_any_headers = _Anything()


def test_http_1_0(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening):
            for request in (b"GET /old HTTP/1.0\r\n\r\n", b"GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"):
                async with talking(listening) as talk:
                    talk.say(request)
                    status, headers, body = await talk.heard()
                    assert (status, headers.get("connection", "close"), body) == (200, "close", b"/old")
                    assert await talk.rest() == b""

    run(test)


def test_a_body_that_is_sent_once_it_is_wanted(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening), talking(listening) as talk:
            talk.ask("/body", "Content-Length: 5", "Expect: 100-continue", method="POST")
            assert await talk.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            talk.say(b"hello")
            assert (await talk.heard())[2] == b"5"
            # Who does not want it says so at once.
            talk.ask("/other", "Content-Length: 5", "Expect: 100-continue", method="POST")
            assert (await talk.heard())[0] == 200

    run(test)


def test_a_request_starts_in_a_context_of_its_own(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening), talking(listening) as talk:
            for _ in range(3):
                talk.ask("/mark", "Content-Length: 200000", method="POST")
                talk.say(b"x" * 200_000)
                assert (await talk.heard())[2] == b"clean"
            for _ in range(3):
                talk.ask("/mark")
            for _ in range(3):
                assert (await talk.heard())[2] == b"clean"

    run(test)


def test_an_application_that_fails_in_the_middle(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening), talking(listening) as talk:
            talk.ask("/half")
            assert (await talk.rest()).endswith(b"content-length: 9\r\n\r\n")

    run(test)


# What URLs may be


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"http://x/abs?q", "/abs"),
        (b"/%C3%BC", "/ü"),
        (b"/%ff%00", "/\ufffd\0"),
        (b"/%", "/%"),
        (b"//a//b", "//a//b"),
        (b"*", "*"),
        (b"/" + b"x" * 60_000, "/" + "x" * 60_000),
    ],
)
def test_targets_that_are_served(listening: socket.socket, target: bytes, path: str) -> None:
    async def test() -> None:
        async with serving(listening) as (_, app), talking(listening) as talk:
            talk.say(b"OPTIONS " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await talk.heard())[0] == 200
            assert app.seen == [path]
            talk.ask("/next")
            assert (await talk.heard())[2] == b"/next"

    run(test)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET http://x HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http:///x HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://[::1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://x:99999999/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET ?x HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET x HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /ü HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
        "GET /?ü HTTP/1.1\r\nHost: x\r\n\r\n".encode("latin-1"),
        b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT / HTTP/1.1\r\nHost: x\r\n\r\nmore",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x00" * 1000,
        b"GET / HTTP/1.1\nHost: x\n\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nBad Header: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: a\x00b\r\n\r\n",
        b"POST /body HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST /body HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
        b"POST /body HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /body HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"POST /body HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /body HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"POST /body HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
        b"POST /body HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nZ\r\n",
        b"POST /body HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello, world\r\n",
    ],
)
def test_what_is_no_request(listening: socket.socket, request_: bytes) -> None:
    async def test() -> None:
        async with serving(listening) as (server, _):
            for pieces in ([request_], [request_[:9], request_[9:]], [bytes([byte]) for byte in request_[:300]]):
                async with talking(listening) as talk:
                    for piece in pieces:
                        talk.say(piece)
                        if len(pieces) == 2:
                            await asyncio.sleep(0.01)
                    status, headers, _ = await talk.heard()
                    assert status in (200, 400)
                    if status == 400 or b"Bad Header" not in request_:  # before 0.6.4 httptools takes that name
                        assert headers["connection"] == "close"
                        await talk.rest()
            await until(lambda: not server.state.connections)

    run(test)


def test_garbage_does_not_take_away_the_answer_before_it(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening) as (_, app), talking(listening) as talk:
            talk.ask("/wait")
            talk.say(b"\x00garbage\r\n\r\n")
            await asyncio.sleep(0.02)
            app.gate.set()
            status, headers, body = await talk.heard()
            assert (status, headers["connection"], body) == (200, "close", b"waited")
            assert await talk.rest() == b""

    run(test)


def test_who_reads_a_broken_body_is_told(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening) as (_, app), talking(listening) as talk:
            talk.ask("/body", "Transfer-Encoding: chunked", method="POST")
            talk.say(b"5\r\nhello\r\n")
            await asyncio.sleep(0.02)
            talk.say(b"nonsense\r\n")
            assert (await talk.heard())[0] == 400
            assert app.disconnects == 1

    run(test)


# Pipelines


def test_requests_that_are_sent_at_once_are_answered_in_turn(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening) as (_, app), talking(listening) as talk:
            for number in range(1000):
                path = ("/body", "/wait", "/stop", "/mark")[number % 4]
                talk.ask(path, "Content-Length: 3", method="POST")
                talk.say(b"abc")
            app.gate.set()
            for number in range(1000):
                body = (await talk.heard())[2]
                assert body in (b"3", b"waited", b"/stop", b"clean")
                assert (body == b"3") == (number % 4 == 0)

    run(test)


def test_a_pipeline_without_end_is_not_kept(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening) as (server, app), talking(listening) as talk:
            talk.writer.transport.pause_reading()
            talk.ask("/wait")
            request = b"GET /x HTTP/1.1\r\n\r\n"
            for _ in range(100):
                talk.say(request * 1000)
            await asyncio.sleep(0.03)
            (connection,) = server._http_connections()
            most = http_server.READ_AT_ONCE // len(request) + 1
            assert 0 < len(connection.pipeline) <= most
            app.gate.set()
            # Each answer must not let many more requests in.
            for _ in range(10):
                await asyncio.sleep(0.005)
                assert len(connection.pipeline) <= most

    run(test)


# Limits


@pytest.mark.parametrize("pieces", [1, 7, 2000])
def test_a_head_that_is_too_long(listening: socket.socket, pieces: int) -> None:
    async def test() -> None:
        async with serving(listening) as (server, app), talking(listening) as talk:
            head = b"GET / HTTP/1.1\r\n" + b"".join(b"X-%06d: %0100d\r\n" % (n, n) for n in range(1500))
            size = len(head) // pieces + 1
            for start in range(0, len(head), size):
                talk.say(head[start : start + size])
                await asyncio.sleep(0)
            status, headers, _ = await talk.heard()
            assert (status, headers["connection"]) == (431, "close")
            assert await talk.rest() == b""
            await until(lambda: not server.state.connections)
            assert not app.begun

    run(test)


def test_the_longest_head(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening), talking(listening) as talk:
            for _ in range(3):
                talk.ask("/x", "X: " + "y" * (http_server.LONGEST_HEAD - 100))
                assert (await talk.heard())[0] == 200

    run(test)


@pytest.mark.parametrize("flood", [b"Trailer: x\r\n", b"1;" + b"x" * 70_000 + b"\r\n"])
def test_what_is_neither_head_nor_body_is_limited_too(listening: socket.socket, flood: bytes) -> None:
    async def test() -> None:
        async with serving(listening) as (server, app), talking(listening) as talk:
            talk.ask("/body", "Transfer-Encoding: chunked", method="POST")
            talk.say((b"0\r\n" if b":" in flood else b"") + flood * (100_000 // len(flood) + 1))
            # The parser has limits too.
            assert (await talk.heard())[0] in (400, 431)
            talk.writer.close()
            await until(lambda: not server.state.connections)
            assert app.disconnects == 1

    run(test)


def test_a_head_that_comes_byte_by_byte(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening, headers_s=0.15) as (_, app), talking(listening) as talk:
            began = time.monotonic()

            async def trickle() -> None:
                with suppress(ConnectionError):
                    while True:
                        for byte in b"GET / HTTP/1.1\r\nX: " + b"y" * 1000:
                            talk.say(bytes([byte]))
                            await talk.writer.drain()
                            await asyncio.sleep(0.01)

            trickling = asyncio.create_task(trickle())
            status, headers, _ = await talk.heard()
            assert (status, headers["connection"]) == (408, "close")
            assert 0.14 < time.monotonic() - began < 10
            assert await talk.rest() == b""
            trickling.cancel()
            assert not app.begun

    run(test)


def test_slow_heads_on_a_connection_that_was_used(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening, headers_s=0.1) as (server, _):
            # Line ends before a request are no request: they must not keep a connection for ever.
            for slow in (b"\r\n", b"G", b"GET / HTTP/1.1\r\nHost:"):
                async with talking(listening) as talk:
                    talk.ask("/x")
                    await talk.heard()
                    talk.say(slow)
                    assert (await talk.heard())[0] == 408
                    assert await talk.rest() == b""
            await until(lambda: not server.state.connections)

    run(test)


def test_a_client_that_says_nothing_is_not_answered(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening, headers_s=0.1), talking(listening) as talk:
            assert await talk.rest() == b""

    run(test)


def test_idle_connections_end(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening, keep_alive_s=0.8) as (server, app), talking(listening) as talk:
            for _ in range(3):
                talk.ask("/x")
                await talk.heard()
                await asyncio.sleep(0.3)
            talk.ask("/wait")
            await asyncio.sleep(1)
            app.gate.set()  # it was not idle
            await talk.heard()
            began = time.monotonic()
            assert await talk.rest() == b""
            assert 0.7 < time.monotonic() - began < 10
            assert not server.state.connections

    run(test)


def test_a_body_that_comes_slowly_after_its_answer(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening, headers_s=0.1, keep_alive_s=0.1) as (server, _), talking(listening) as talk:
            talk.ask("/early", "Content-Length: 1000000", method="POST")
            assert (await talk.heard())[0] == 200
            began = time.monotonic()
            with suppress(ConnectionError):
                while server.state.connections:
                    talk.say(b"x")
                    await asyncio.sleep(0.01)
            assert time.monotonic() - began < 10

    run(test)


def test_a_body_after_its_answer_leaves_the_connection_whole(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening), talking(listening) as talk:
            talk.ask("/early", "Content-Length: 1000000", method="POST")
            assert (await talk.heard())[2] == b"/early"
            talk.say(b"x" * 1_000_000)
            talk.ask("/next")
            assert (await talk.heard())[2] == b"/next"

    run(test)


def test_a_client_that_does_not_read(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening, headers_s=0.2) as (server, app), talking(listening) as talk:
            talk.writer.transport.pause_reading()
            for _ in range(50):
                talk.ask("/big")
            await until(lambda: app.begun > 0)
            before = memory()
            await until(lambda: not server.state.connections and not server.state.tasks)
            assert app.begun <= 2
            assert memory() - before < 20 << 20

    run(test)


def test_a_client_that_reads_slowly_gets_all(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening, headers_s=0.15, keep_alive_s=0.1), talking(listening) as talk:
            talk.writer.transport.set_write_buffer_limits(0)
            talk.ask("/big")
            read = len(await talk.reader.readuntil(b"\r\n\r\n"))
            read = 0
            while read < 8 << 20:
                read += len(await talk.reader.read(1 << 20))
                await asyncio.sleep(0.03)

    run(test)


# Half-closed connections


def test_a_client_that_closes_its_side(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening) as (server, app):
            for said in (
                b"",
                b"GET",
                b"GET /wait HTTP/1.1\r\n\r\n",
                b"POST /body HTTP/1.1\r\nContent-Length: 9\r\n\r\nab",
            ):
                async with talking(listening) as talk:
                    talk.say(said)
                    await asyncio.sleep(0.01)
                    talk.writer.write_eof()
                    assert await talk.rest() == b""
                await until(lambda: not server.state.connections)
            assert app.disconnects == 1

    run(test)


# Upgrades


@pytest.mark.parametrize("protocol", ["websocket", "h2c", "nonsense"])
def test_upgrades_that_are_not_for_us_are_ordinary_requests(listening: socket.socket, protocol: str) -> None:
    async def test() -> None:
        async with serving(listening) as (_, app), talking(listening) as talk:
            for body, pause in ((b"", 0), (b"hello", 0), (b"hello", 0.01), (b"x" * 100_000, 0)):
                upgrade = [
                    "Connection: Upgrade, HTTP2-Settings",
                    f"Upgrade: {protocol}",
                    f"Content-Length: {len(body)}",
                ]
                talk.ask("/body", *upgrade, method="POST")
                await asyncio.sleep(pause)
                talk.say(body)
                talk.ask("/next", *upgrade[:2])
                assert (await talk.heard())[::2] == (200, b"%d" % len(body))
                assert (await talk.heard())[::2] == (200, b"/next")
            assert app.begun == 8
            for _ in range(500):
                talk.ask("/again", *upgrade[:2])
            for _ in range(500):
                assert (await talk.heard())[::2] == (200, b"/again")

    run(test)


def test_a_websocket(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening, ping=(None, None)) as (server, _), talking(listening) as talk:
            talk.ask("/ordinary")
            assert (await talk.heard())[0] == 200
            talk.say(b"GET /ws HTTP/1.1\r\n" + UPGRADE + b"\r\n")
            assert (await talk.heard())[0] == 101
            talk.say(b"\x81\x82\0\0\0\0hi")
            assert await talk.reader.readexactly(4) == b"\x81\x02hi"
            talk.writer.close()
            await until(lambda: not server.state.connections)

    run(test)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /ws HTTP/1.1\r\n" + UPGRADE + b"X: " + b"y" * 9000 + b"\r\n",
        b"GET /ws HTTP/1.1\r\n" + UPGRADE + b"".join(b"X-%d: y\r\n" % number for number in range(200)),
        b"GET /ws HTTP/1.1\r\n" + UPGRADE + b"Content-Length: 5\r\n",
        b"GET /ws HTTP/1.1\r\n" + UPGRADE + b"Transfer-Encoding: chunked\r\n",
        b"POST /ws HTTP/1.1\r\n" + UPGRADE,
        b"GET /ws HTTP/1.1\r\n" + UPGRADE.replace(b"13", b"12"),
        b"GET /ws HTTP/1.1\r\n" + UPGRADE.replace(b"Sec-WebSocket-Key", b"X"),
        b"CONNECT /ws HTTP/1.1\r\n" + UPGRADE,
    ],
)
def test_websockets_that_cannot_be(listening: socket.socket, head: bytes) -> None:
    async def test() -> None:
        async with serving(listening, ping=(None, None)) as (server, app), talking(listening) as talk:
            talk.say(head + b"\r\n" + (b"hello" if b"Content-Length" in head else b""))
            if b"chunked" in head:
                talk.say(b"0\r\n\r\n")
            status = (await talk.heard())[0]
            if LEGACY and status == 101:
                return
            assert 400 <= status < 500
            await talk.rest()
            await until(lambda: not server.state.connections)
            assert not app.begun

    run(test)


def test_pings_of_a_client_that_does_not_read(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening, ping=(None, None)) as (server, _), talking(listening) as talk:
            talk.say(b"GET /ws HTTP/1.1\r\n" + UPGRADE + b"\r\n")
            await talk.heard()
            talk.writer.transport.pause_reading()
            ping = b"\x89" + bytes([0x80 | 125]) + b"\0\0\0\0" + b"p" * 125
            for number in range(60):
                talk.say(ping * 1000)
                try:
                    async with asyncio.timeout(0.5):
                        await talk.writer.drain()
                except TimeoutError:
                    break  # the server reads no more, which is as good
                if number % 10 == 0:
                    await asyncio.sleep(0)
            (connection,) = server.state.connections
            # 8 MB were sent, or as much of it as the server would read.
            assert connection.transport.get_write_buffer_size() < 1 << 20
            talk.say(b"\x89\x84\0\0\0\0last")
            await asyncio.sleep(0.05)
            talk.writer.transport.resume_reading()
            await talk.reader.readuntil(b"\x8a\x04last")

    run(test)


@pytest.mark.parametrize(
    "frames",
    [
        b"\xff" * 20,
        b"\x81\x02hi",
        b"\x81\x82\0\0\0\0\xff\xfe",
        b"\x81\xff\0\0\1\0\0\0\0\0\0\0\0\0",
        b"\x88\x81\0\0\0\0\x01",
        b"\x01\x82\0\0\0\0hi\x81\x82\0\0\0\0hi",
        b"\x80\x82\0\0\0\0hi",
    ],
)
def test_frames_that_are_none(listening: socket.socket, frames: bytes) -> None:
    async def test() -> None:
        async with serving(listening, ping=(None, None)) as (server, _), talking(listening) as talk:
            talk.say(b"GET /ws HTTP/1.1\r\n" + UPGRADE + b"\r\n")
            await talk.heard()
            talk.say(frames)
            assert (await talk.rest())[:1] == b"\x88"
            talk.writer.close()
            await until(lambda: not server.state.connections)

    run(test)


# Draining


def test_draining_answers_and_closes(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening) as (server, app), talking(listening) as busy, talking(listening) as idle:
            idle.ask("/x")
            assert "connection" not in (await idle.heard())[1]
            busy.ask("/wait")
            await until(lambda: app.begun == 2)
            draining = asyncio.create_task(server.drain(time.monotonic() + 5))
            await asyncio.sleep(0.02)
            assert not server.is_accepting
            # A request that was on its way is served, and the last one there.
            idle.ask("/late")
            status, headers, body = await idle.heard()
            assert (status, headers["connection"], body) == (200, "close", b"/late")
            assert await idle.rest() == b""
            await asyncio.sleep(http_server.GRACE_S)
            assert not draining.done()
            app.gate.set()
            status, headers, body = await busy.heard()
            assert (status, headers["connection"], body) == (200, "close", b"waited")
            await draining
            assert not server.state.connections

    run(test)


def test_draining_ends_idle_connections_after_a_grace(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening) as (server, _), talking(listening) as idle, talking(listening) as new:
            idle.ask("/x")
            await idle.heard()
            await until(lambda: len(server.state.connections) == 2)
            began = time.monotonic()
            await server.drain(began + 5)
            assert http_server.GRACE_S <= time.monotonic() - began < 10
            assert (await idle.rest(), await new.rest()) == (b"", b"")

    run(test)


def test_draining_waits_for_a_head_that_has_begun(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening) as (server, _), talking(listening) as talk:
            talk.say(b"GET /slow HTT")
            await asyncio.sleep(0.02)
            draining = asyncio.create_task(server.drain(time.monotonic() + 5))
            await asyncio.sleep(http_server.GRACE_S + 0.03)
            talk.say(b"P/1.1\r\nHost: x\r\n\r\n")
            status, headers, body = await talk.heard()
            assert (status, headers["connection"], body) == (200, "close", b"/slow")
            await draining

    run(test)


def test_draining_does_not_wait_beyond_its_time(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening) as (server, app), talking(listening) as busy, talking(listening) as deaf:
            busy.ask("/wait")
            deaf.writer.transport.pause_reading()
            deaf.ask("/big")
            await until(lambda: app.begun == 2)
            began = time.monotonic()
            await server.drain(began + 0.2)
            assert time.monotonic() - began < 4
            assert await busy.rest() == b""

    run(test)


def test_draining_answers_a_whole_pipeline(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening) as (server, app), talking(listening) as talk:
            for path in ("/wait", "/a", "/b"):
                talk.ask(path)
            await until(lambda: app.begun == 1)
            draining = asyncio.create_task(server.drain(time.monotonic() + 5))
            await asyncio.sleep(0.02)
            app.gate.set()
            answers = [await talk.heard() for _ in range(3)]
            assert [body for _, _, body in answers] == [b"waited", b"/a", b"/b"]
            assert [headers.get("connection") for _, headers, _ in answers] == [None, None, "close"]
            await draining

    run(test)


def test_draining_under_load_loses_no_request(listening: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    # Clients and servers are one process here: a stall of it must not look like a client that is silent.
    monkeypatch.setattr(http_server, "GRACE_S", 30.0)
    done: list[str] = []
    lost: list[BaseException] = []
    closes = 0
    over = False

    async def kept() -> None:
        """Requests over one connection, and the next when the server says so."""
        nonlocal closes
        while not over:
            async with talking(listening) as talk:
                while not over:
                    talk.ask("/kept")
                    _, headers, body = await talk.heard()
                    done.append(body.decode())
                    if headers.get("connection") == "close":
                        closes += 1
                        assert await talk.rest() == b""
                        break

    async def new() -> None:
        """A connection for each request."""
        while not over:
            async with talking(listening) as talk:
                talk.ask("/new")
                done.append((await talk.heard())[2].decode())

    async def watched(load: Callable[[], Awaitable[None]]) -> None:
        try:
            await load()
        except (OSError, EOFError) as error:
            lost.append(error)

    async def test() -> None:
        nonlocal over
        shared = [listening.dup() for _ in range(8)]
        servers = [HttpServer(App(), one, keep_alive_s=5, headers_s=5) for one in shared]
        servers[0].start()
        async with asyncio.TaskGroup() as group:
            for load in (kept, new):
                for _ in range(12):
                    group.create_task(watched(load))
            for current, following in itertools.pairwise(servers):
                goal = Counter(done) + Counter({"/kept": 120, "/new": 40})
                await until(lambda: Counter(done) >= goal)  # noqa: B023 - it is over before the next is made
                following.start()
                await current.drain(time.monotonic() + 60)
            over = True
        await servers[-1].drain(time.monotonic() + 5)
        for one in shared:
            one.close()

    run(test)
    assert not lost
    assert len(done) > 1000
    # Every connection that was kept was told to go, each time.
    assert closes >= 12 * 7


# Hostile clients


def test_random_requests(listening: socket.socket) -> None:
    dice = random.Random(7)
    pieces = [
        *(
            b"GET ",
            b"POST ",
            b"CONNECT ",
            b"/",
            b"/body",
            b"/wait",
            b"*",
            b"http://",
            b" HTTP/1.1\r\n",
            b" HTTP/1.0\r\n",
        ),
        *(b"Host: x\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n"),
        *(
            b"Connection: Upgrade\r\n",
            b"Upgrade: websocket\r\n",
            UPGRADE,
            b"\r\n",
            b"\r\n\r\n",
            b"5\r\nhello\r\n",
            b"0\r\n\r\n",
        ),
        *(
            b"\x00",
            b"\xff",
            b"%",
            b":",
            b" ",
            b"?",
            b"#",
            b"Connection: close\r\n",
            b"\x81\x82\0\0\0\0hi",
            b"\x88\x80\0\0\0\0",
        ),
    ]

    async def one(server: HttpServer) -> None:
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        with suppress(OSError):
            for _ in range(dice.randrange(1, 5)):
                writer.write(
                    b"".join(dice.choices(pieces, k=dice.randrange(1, 15))) + dice.randbytes(dice.randrange(3))
                )
                await asyncio.sleep(0)
            if dice.random() < 0.3:
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif dice.random() < 0.3:
                writer.write_eof()
                await asyncio.wait_for(reader.read(), 0.02)
        writer.close()

    async def test() -> None:
        async with serving(listening, ping=(None, None), headers_s=0.3) as (server, app):
            app.gate.set()
            for _ in range(25):
                await asyncio.gather(*(one(server) for _ in range(20)), return_exceptions=True)
            async with talking(listening) as talk:
                talk.ask("/alive")
                assert (await talk.heard())[2] == b"/alive"
                talk.writer.close()
                await until(lambda: not server.state.connections and not server.state.tasks)

    run(test)


def test_thousands_of_connections_opened_and_dropped(listening: socket.socket) -> None:
    async def dropped(number: int) -> None:
        client = socket.socket()
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, listening.getsockname())
        with suppress(OSError):
            client.send(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"[: number % 70])
        if number % 2:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()

    async def test() -> None:
        async with serving(listening) as (server, _):

            async def all_dropped(count: int) -> int:
                for start in range(0, count, 50):
                    await asyncio.gather(*(dropped(start + number) for number in range(50)))
                await until(lambda: not server.state.connections and not server.state.tasks)
                gc.collect()
                return memory()

            before = await all_dropped(300)
            assert await all_dropped(1500) - before < 10 << 20
            async with talking(listening) as talk:
                talk.ask("/alive")
                assert (await talk.heard())[2] == b"/alive"

    run(test)
