from __future__ import annotations

import asyncio
import http.client
import json
import os
import random
import socket
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

from omnitron.host.decorators import service
from omnitron.host.rpc import client
from omnitron.host.rpc.calls import current_call
from omnitron.host.rpc.dispatch import Dispatcher
from omnitron.host.rpc.methods import table
from omnitron.host.transports import unix
from omnitron.host.transports.unix import DRAINING, UnixServer, only
from tests.support.event_loop import memory, run, until

NOBODY = 65534
mark: ContextVar[str] = ContextVar("mark", default="clean")


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

    async def caller(self) -> list[Any]:
        call = current_call()
        assert call and call.identity
        return [call.identity.subject, call.transport]

    async def marked(self, value: str) -> str:
        before = mark.get()
        mark.set(value)
        return before


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "socket"


@pytest.fixture
def listening(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))
        made.listen(4096)  # asyncio takes a full queue for a connection
        yield made


def anybody(uid: int) -> bool:
    return True


@asynccontextmanager
async def serving(
    listening: socket.socket, may_call: Callable[[int], bool] = anybody, **more: Any
) -> AsyncIterator[tuple[UnixServer, Tools]]:
    tools = Tools()
    server = UnixServer(Dispatcher(table({"Tools": tools})), listening, may_call=may_call, **more)
    server.start()
    try:
        yield server, tools
    finally:
        await server.drain(0)
        while server.connections:
            await asyncio.sleep(0)


def call(number: Any, method: str, *params: Any) -> bytes:
    message = {"jsonrpc": "2.0", "id": number, "method": f"Tools.{method}", "params": params}
    return json.dumps(message).encode() + b"\n"


class Talk:
    """A client that sends bytes and reads lines."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    async def heard(self) -> Any:
        return json.loads(await self.reader.readuntil(b"\n"))

    async def results(self, count: int) -> dict[Any, Any]:
        return {
            answer["id"]: answer.get("result", answer.get("error"))
            for answer in [await self.heard() for _ in range(count)]
        }

    async def rest(self) -> bytes:
        return await self.reader.read()


@asynccontextmanager
async def talking(path: Path) -> AsyncIterator[Talk]:
    reader, writer = await asyncio.open_unix_connection(path, limit=64 << 20)
    try:
        yield Talk(reader, writer)
    finally:
        writer.close()


# Framing


def test_one_message_is_one_line_each_way(listening: socket.socket, path: Path) -> None:
    async def test() -> None:
        async with serving(listening), talking(path) as talk:
            talk.say(call(1, "echo", {"a": "line\nbreak"}))
            line = await talk.reader.readuntil(b"\n")
            assert json.loads(line) == {"jsonrpc": "2.0", "id": 1, "result": {"a": "line\nbreak"}}

    run(test)


def test_several_messages_in_one_segment(listening: socket.socket, path: Path) -> None:
    async def test() -> None:
        async with serving(listening), talking(path) as talk:
            talk.say(b"\n".join([call(1, "echo", "a"), b"\r", b"  ", call(2, "echo", "b"), call(3, "echo", "c")]))
            assert await talk.results(3) == {1: "a", 2: "b", 3: "c"}

    run(test)


def test_a_message_in_pieces(listening: socket.socket, path: Path) -> None:
    async def test() -> None:
        async with serving(listening), talking(path) as talk:
            for byte in call(1, "echo", "süß"):
                talk.say(bytes([byte]))
                await asyncio.sleep(0)
            assert await talk.results(1) == {1: "süß"}

    run(test)


def test_long_messages_both_ways(listening: socket.socket, path: Path) -> None:
    async def test() -> None:
        async with serving(listening), talking(path) as talk:
            value = "y" * (5 << 20)
            talk.say(call(1, "echo", value) + call(2, "echo", "short"))
            assert await talk.results(2) == {1: value, 2: "short"}

    run(test)


def test_a_message_without_end(listening: socket.socket, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unix, "LONGEST_LINE", 1000)
    monkeypatch.setattr(unix, "LINGER_S", 0.1)

    async def test() -> None:
        async with serving(listening) as (server, _), talking(path) as talk:
            talk.say(b"x" * 300_000)
            answer = await talk.heard()
            assert answer["id"] is None
            assert answer["error"] == {"code": -32600, "message": "a message holds at most 1000 bytes"}
            assert await talk.rest() == b""
            # A client that goes on is read for a while, so that it sees why, and kept no longer.
            began = time.monotonic()
            with pytest.raises((BrokenPipeError, ConnectionResetError)):
                while True:
                    talk.say(b"x" * 10_000)
                    await talk.writer.drain()
                    await asyncio.sleep(0)
            assert time.monotonic() - began < 10
            assert not server.connections

    run(test)


def test_garbage_is_answered_and_the_connection_lives(listening: socket.socket, path: Path) -> None:
    async def test() -> None:
        async with serving(listening), talking(path) as talk:
            talk.say(b"\x00\xff\n{]\n" + b"[" * 100_000 + b"\n" + call(1, "echo", 1))
            answers = [await talk.heard() for _ in range(4)]
            assert [answer["error"]["code"] for answer in answers if "error" in answer] == [-32700] * 3
            assert [answer["result"] for answer in answers if "result" in answer] == [1]

    run(test)


def test_random_bytes(listening: socket.socket, path: Path) -> None:
    dice = random.Random(3)
    pieces = [b"\n", b"{", b"}", b"[", b"]", b'"', b"GET / HTTP/1.1\r\n", call(1, "echo", 2), b"\xff", b'{"id":', b"0"]

    async def test() -> None:
        async with serving(listening) as (server, _):
            for _ in range(150):
                _, writer = await asyncio.open_unix_connection(path)
                for _ in range(dice.randrange(6)):
                    writer.write(
                        b"".join(dice.choices(pieces, k=dice.randrange(30))) + dice.randbytes(dice.randrange(20))
                    )
                    await asyncio.sleep(0)
                if dice.random() < 0.5:
                    writer.transport.abort()
                writer.close()
            async with talking(path) as talk:
                talk.say(call(1, "echo", "alive"))
                assert await talk.results(1) == {1: "alive"}
            await until(lambda: not server.connections)

    run(test)


# Half-closed connections


def test_a_client_that_has_said_all_gets_its_answers(listening: socket.socket, path: Path) -> None:
    async def test() -> None:
        async with serving(listening) as (_, tools), talking(path) as talk:
            talk.say(call(1, "wait", "late") + call(2, "echo", "soon"))
            talk.writer.write_eof()
            assert await talk.results(1) == {2: "soon"}
            tools.gate.set()
            assert await talk.results(1) == {1: "late"}
            assert await talk.rest() == b""

    run(test)


def test_the_last_line_may_lack_its_end(listening: socket.socket, path: Path) -> None:
    async def test() -> None:
        async with serving(listening), talking(path) as talk:
            talk.say(call(1, "echo", "a") + call(2, "echo", "b").rstrip())
            talk.writer.write_eof()
            assert await talk.results(2) == {1: "a", 2: "b"}
            assert await talk.rest() == b""

    run(test)


def test_a_client_that_says_nothing(listening: socket.socket, path: Path) -> None:
    async def test() -> None:
        async with serving(listening) as (server, _), talking(path) as talk:
            talk.writer.write_eof()
            assert await talk.rest() == b""
            await until(lambda: not server.connections)

    run(test)


def test_a_client_that_goes_with_a_call_in_flight(listening: socket.socket, path: Path) -> None:
    async def test() -> None:
        async with serving(listening) as (server, tools):
            for abort in (False, True):
                async with talking(path) as talk:
                    talk.say(call(1, "wait", "x" * 100_000) + call(2, "echo"))
                    await talk.heard()
                    if abort:
                        talk.writer.transport.abort()
            tools.gate.set()
            await until(lambda: not server.connections)
            assert server.dispatcher.pending == 0

    run(test)


# Back-pressure


def test_calls_beyond_what_is_served_at_once_wait(
    listening: socket.socket, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unix, "AT_ONCE", 10)

    async def test() -> None:
        async with serving(listening) as (server, tools), talking(path) as talk:
            talk.say(b"".join(call(number, "wait", number) for number in range(35)))
            await until(lambda: tools.begun == 10)
            await asyncio.sleep(0.02)
            assert (tools.begun, server.dispatcher.pending) == (10, 10)
            tools.gate.set()
            assert await talk.results(35) == {number: number for number in range(35)}
            talk.say(call("more", "echo", 1))
            assert await talk.results(1) == {"more": 1}

    run(test)


def test_all_that_was_said_before_the_end_is_served_although_it_had_to_wait(
    listening: socket.socket, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unix, "AT_ONCE", 3)

    async def test() -> None:
        async with serving(listening) as (_, tools), talking(path) as talk:
            talk.say(b"".join(call(number, "wait", number) for number in range(20)))
            talk.writer.write_eof()
            await until(lambda: tools.begun == 3)
            tools.gate.set()
            assert await talk.results(20) == {number: number for number in range(20)}
            assert await talk.rest() == b""

    run(test)


def test_who_does_not_read_answers_is_not_served_on(listening: socket.socket, path: Path) -> None:
    calls, size = 3000, 20_000

    async def test() -> None:
        async with serving(listening) as (_, tools), talking(path) as talk:
            talk.writer.transport.pause_reading()
            talk.say(b"".join(call(number, "blob", size) for number in range(calls)))
            await asyncio.sleep(0.1)
            served = tools.begun
            # What the sockets hold, and what was begun before the first of it did not fit.
            assert served * size < (unix.AT_ONCE + 50) * size
            await asyncio.sleep(0.1)
            assert tools.begun == served
            talk.writer.transport.resume_reading()
            answers = await talk.results(calls)
            assert len(answers) == calls and set(answers.values()) == {"x" * size}

    run(test)


def test_a_call_starts_in_a_context_of_its_own(
    listening: socket.socket, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unix, "AT_ONCE", 2)

    async def test() -> None:
        async with serving(listening), talking(path) as talk:
            talk.say(b"".join(call(number, "marked", "dirty") for number in range(50)))
            assert set((await talk.results(50)).values()) == {"clean"}

    run(test)


# Who may call


def test_the_caller_is_known_by_its_uid(listening: socket.socket, path: Path) -> None:
    async def test() -> None:
        async with serving(listening), talking(path) as talk:
            talk.say(call(1, "caller"))
            assert await talk.results(1) == {1: [f"uid:{os.geteuid()}", "unix"]}

    run(test)


def test_who_may_not_call_is_told_so(listening: socket.socket, path: Path) -> None:
    asked = []

    def nobody(uid: int) -> bool:
        asked.append(uid)
        return False

    async def test() -> None:
        async with serving(listening, nobody) as (server, tools), talking(path) as talk:
            talk.say(call(1, "echo"))
            answer = await talk.heard()
            assert answer["error"] == {
                "code": -32003,
                "message": f"not permitted: user {os.geteuid()} may not call this process",
            }
            assert await talk.rest() == b""
            assert tools.begun == 0
            talk.writer.close()
            await until(lambda: not server.connections)

    run(test)
    assert asked == [os.geteuid()]


ASK = """
import socket, sys
with socket.socket(socket.AF_UNIX) as asking:
    asking.connect("\\0" + sys.argv[1])
    asking.sendall(b'{"jsonrpc":"2.0","id":1,"method":"Tools.caller"}\\n')
    print(asking.makefile().readline(), end="")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_another_user_is_refused_unless_named() -> None:
    name = f"omnitron-test-{os.getpid()}"

    async def asked(may_call: Callable[[int], bool]) -> Any:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(f"\0{name}")
            listening.listen()
            async with serving(listening, may_call):
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-S", "-c", ASK, name, stdout=subprocess.PIPE, user=NOBODY, cwd="/"
                )
                output, _ = await process.communicate()
                return json.loads(output)

    async def test() -> None:
        refusal = await asked(only(frozenset()))
        assert refusal["error"]["message"] == f"not permitted: user {NOBODY} may not call this process"
        assert (await asked(only(frozenset({"nobody"}))))["result"] == [f"uid:{NOBODY}", "unix"]

    run(test)


def test_only_names_those_who_may() -> None:
    may_call = only(frozenset({"nobody"}))
    assert may_call(0) and may_call(os.geteuid()) and may_call(NOBODY)
    assert not may_call(4_000_000)
    assert not only(frozenset())(NOBODY) or os.geteuid() == NOBODY


# Pages


class OverUnix(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


def fetched(path: Path, what: str) -> tuple[int, str | None, str]:
    connection = OverUnix(path)
    try:
        connection.request("GET", what, headers={"Accept": "text/plain"})
        response = connection.getresponse()
        return response.status, response.getheader("content-type"), response.read().decode()
    finally:
        connection.close()


def test_pages_are_served_to_http_clients(listening: socket.socket, path: Path) -> None:
    pages = {"/metrics": "grüße 1\n" * 100_000}.get

    async def test() -> None:
        async with serving(listening, pages=pages) as (server, _):
            status, kind, body = await asyncio.to_thread(fetched, path, "/metrics")
            assert (status, kind, body) == (200, "text/plain; version=0.0.4; charset=utf-8", "grüße 1\n" * 100_000)
            assert (await asyncio.to_thread(fetched, path, "/other"))[0] == 404
            await until(lambda: not server.connections)

    run(test)


def test_a_page_is_given_once_the_request_is_over(listening: socket.socket, path: Path) -> None:
    async def test() -> None:
        async with serving(listening, pages={"/metrics": "page\n"}.get):
            async with talking(path) as talk:
                for piece in (b"GET /metrics HTTP/1.1\r\nHo", b"st: x\r\nA: b\r\n", b"\r", b"\n"):
                    assert not talk.reader._buffer  # type: ignore[attr-defined]
                    talk.say(piece)
                    await asyncio.sleep(0.01)
                assert (await talk.rest()).endswith(b"Connection: close\r\n\r\npage\n")
            for request in (
                b"GET /metrics HTTP/1.0",
                b"GET /metrics HTTP/1.0\r\n",
                b"GET /metrics HTTP/1.0\r\nHost: x\r\n",
            ):
                async with talking(path) as talk:
                    talk.say(request)
                    talk.writer.write_eof()
                    assert (await talk.rest()).endswith(b"page\n")
            async with talking(path) as talk:
                talk.say(b"GET nonsense\r\n\r\n")
                assert (await talk.rest()).startswith(b"HTTP/1.1 404 ")

    run(test)


# Draining


def test_draining_finishes_what_is_in_flight(listening: socket.socket, path: Path) -> None:
    async def test() -> None:
        async with serving(listening) as (server, tools), talking(path) as talk:
            talk.say(call(1, "wait", "done"))
            await until(lambda: tools.begun == 1)
            draining = asyncio.create_task(server.drain(5))
            assert await talk.reader.readuntil(b"\n") == DRAINING
            # It was sent before the client saw that: it is served like any other.
            talk.say(call(2, "echo", "too"))
            assert await talk.results(1) == {2: "too"}
            assert not draining.done()
            tools.gate.set()
            assert await talk.results(1) == {1: "done"}
            talk.writer.close()
            await draining
            assert not server.connections and not server.is_accepting

    run(test)


def test_draining_gives_up_on_clients_that_stay(listening: socket.socket, path: Path) -> None:
    async def test() -> None:
        async with serving(listening) as (server, tools), talking(path) as talk:
            talk.say(call(1, "wait"))
            await until(lambda: tools.begun == 1)
            began = time.monotonic()
            await server.drain(0.1)
            assert 0.09 < time.monotonic() - began < 10
            assert await talk.rest() == DRAINING
            tools.gate.set()

    run(test)


def test_who_was_accepted_at_the_last_moment_is_served(listening: socket.socket, path: Path) -> None:
    async def test() -> None:
        for pause in range(6):
            async with serving(listening) as (server, _), talking(path) as talk:
                talk.say(call(1, "echo", pause))
                for _ in range(pause):
                    await asyncio.sleep(0)
                accepted = bool(server._acceptor._tasks or server.connections)
                draining = asyncio.create_task(server.drain(5))
                if accepted:
                    answers = [await talk.heard(), await talk.heard()]
                    assert {answer.get("result", answer.get("method")) for answer in answers} == {pause, "rpc.draining"}
                talk.writer.close()
                await draining
            if not accepted:
                # Nobody has taken it: it is the next server's, which finds nobody there.
                async with serving(listening) as (server, _):
                    await asyncio.sleep(0.02)

    run(test)


# Hostile clients


def test_thousands_of_connections_opened_and_dropped(listening: socket.socket, path: Path) -> None:
    async def test() -> None:
        async with serving(listening) as (server, _):

            async def opened(number: int) -> None:
                while True:
                    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
                    try:
                        one.connect(str(path))
                        break
                    except BlockingIOError:
                        one.close()
                        await asyncio.sleep(0.001)
                if number % 3:
                    one.send(call(1, "echo", "x" * 1000)[: number % 1100])
                if number % 2:
                    await asyncio.sleep(0)
                one.close()

            for number in range(300):
                await opened(number)
            await until(lambda: not server.connections)
            before = memory()
            for number in range(2000):
                await opened(number)
            async with talking(path) as talk:
                talk.say(call(1, "echo", "alive"))
                assert await talk.results(1) == {1: "alive"}
            await until(lambda: not server.connections)
            assert memory() - before < 20 << 20

    run(test)


def test_a_failure_of_the_dispatcher_ends_the_connection(
    listening: socket.socket, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with serving(listening) as (server, _), talking(path) as talk:

            async def broken(message: bytes, call: Any) -> bytes:
                raise RuntimeError("a bug")

            server.dispatcher.answer = broken  # type: ignore[method-assign]
            talk.say(call(1, "echo"))
            assert await talk.rest() == b""

    run(test)
    assert [record.getMessage() for record in caplog.records] == ["a call was not answered: its connection is closed"]


def test_the_longest_line_is_the_clients_too() -> None:
    assert unix.LONGEST_LINE == client.LONGEST_LINE


def test_peer_uid() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert unix.peer_uid(one) == os.geteuid()
        assert struct.calcsize("3i") == 12
