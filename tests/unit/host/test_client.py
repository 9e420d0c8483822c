from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from omnitron.host.decorators import service
from omnitron.host.rpc import client as module
from omnitron.host.rpc import errors
from omnitron.host.rpc.calls import Call, current_call, enter
from omnitron.host.rpc.client import Client
from omnitron.host.rpc.dispatch import Dispatcher
from omnitron.host.rpc.errors import RpcError
from omnitron.host.rpc.methods import table
from omnitron.host.transports.unix import UnixServer
from tests.support.event_loop import run, until


@service
class Tools:
    def __init__(self, name: str = "") -> None:
        self.name = name
        self.begun = 0
        self.gate = asyncio.Event()

    async def echo(self, value: Any = None) -> Any:
        return value

    async def who(self) -> str:
        return self.name

    async def nap(self, seconds: float) -> str:
        await asyncio.sleep(seconds)
        return self.name

    async def wait(self) -> str:
        self.begun += 1
        await self.gate.wait()
        return self.name

    async def seen(self) -> list[Any]:
        call = current_call()
        assert call
        return [call.remaining(), call.traceparent]

    async def fail(self) -> None:
        raise RpcError(7, "no", {"why": "because"})


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "socket")


@pytest.fixture
def listening(path: str) -> Iterator[socket.socket]:
    """What systemd holds while the processes behind it come and go."""
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path)
        made.listen(1000)
        yield made


class Instance:
    """A process that serves, with a descriptor of its own for the socket that all of them share."""

    def __init__(
        self, listening: socket.socket, name: str = "", may_call: Callable[[int], bool] = lambda uid: True
    ) -> None:
        self.tools = Tools(name)
        self._socket = listening.dup()
        self.server = UnixServer(Dispatcher(table({"Tools": self.tools})), self._socket, may_call=may_call)
        self.server.start()

    async def drain(self, grace_s: float = 5) -> None:
        await self.server.drain(grace_s)
        while self.server.connections:
            await asyncio.sleep(0)
        self._socket.close()

    async def die(self) -> None:
        """End as if killed: every connection is cut, without a word."""
        await self.drain(0)


@asynccontextmanager
async def serving(listening: socket.socket, name: str = "", **more: Any) -> AsyncIterator[Instance]:
    instance = Instance(listening, name, **more)
    try:
        yield instance
    finally:
        instance.tools.gate.set()
        await instance.die()


@asynccontextmanager
async def calling(path: str) -> AsyncIterator[Client]:
    client = Client(path)
    try:
        yield client
    finally:
        client.close()


@asynccontextmanager
async def answering(path: str, answer: Callable[[bytes], bytes | None]) -> AsyncIterator[list[bytes]]:
    """A server that is none of ours: what it says to each line, None for hanging up."""
    lines: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while line := await reader.readline():
                lines.append(line)
                said = answer(line)
                if said is None:
                    break
                writer.write(said)
        writer.close()

    server = await asyncio.start_unix_server(serve, path, limit=1 << 24)
    try:
        yield lines
    finally:
        server.close()
        await asyncio.sleep(0.01)


async def failure(call: Awaitable[Any]) -> RpcError:
    with pytest.raises(RpcError) as caught:
        await call
    return caught.value


async def result(client: Client, method: str, *params: Any, **more: Any) -> Any:
    return msgspec.json.decode(await client.call(f"Tools.{method}", params, **more))


# Calls and connections


def test_results_and_errors_come_as_they_are(listening: socket.socket, path: str) -> None:
    async def test() -> None:
        async with serving(listening), calling(path) as client:
            value = {"text": "süß\n", "big": "x" * (3 << 20), "null": None}
            assert await result(client, "echo", value) == value
            assert msgspec.json.decode(await client.call("Tools.echo", {"value": 3})) == 3
            error = await failure(client.call("Tools.fail", []))
            assert (error.code, error.message, error.data) == (7, "no", {"why": "because"})
            assert (await failure(client.call("Tools.none", []))).code == errors.METHOD_NOT_FOUND
            with pytest.raises(TypeError):
                await client.call("Tools.echo", [object()])
            assert await result(client, "echo", 4) == 4

    run(test)


def test_calls_one_after_another_share_a_connection(listening: socket.socket, path: str) -> None:
    async def test() -> None:
        async with serving(listening) as instance, calling(path) as client:
            for number in range(50):
                assert await result(client, "echo", number) == number
            assert len(instance.server.connections) == 1

    run(test)


def test_many_calls_at_once_share_a_few_connections(listening: socket.socket, path: str) -> None:
    async def test() -> None:
        async with serving(listening) as instance, calling(path) as client:
            numbers = range(900)
            assert await asyncio.gather(*(result(client, "echo", number) for number in numbers)) == list(numbers)
            assert 1 < len(instance.server.connections) <= module.CONNECTIONS

    run(test)


def test_old_connections_are_replaced(listening: socket.socket, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECTION_LIFE_S", 0.05)

    async def test() -> None:
        async with serving(listening) as instance, calling(path) as client:
            slow = asyncio.create_task(result(client, "wait"))
            while not instance.tools.begun:
                await asyncio.sleep(0)
            (first,) = instance.server.connections
            await asyncio.sleep(0.06)
            assert await result(client, "echo", 1) == 1
            assert len(instance.server.connections) == 2
            # It ends once it has carried the answer it owes.
            instance.tools.gate.set()
            await slow
            await asyncio.sleep(0.01)
            assert first not in instance.server.connections

    run(test)


def test_too_many_waiting_calls_fail_at_once(
    listening: socket.socket, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 3)

    async def test() -> None:
        async with serving(listening) as instance, calling(path) as client:
            waiting = [asyncio.create_task(result(client, "wait")) for _ in range(3)]
            await asyncio.sleep(0)
            assert (await failure(client.call("Tools.echo", []))).code == errors.BUSY
            instance.tools.gate.set()
            await asyncio.gather(*waiting)
            assert await result(client, "echo", 1) == 1

    run(test)


def test_a_message_that_is_too_long_harms_no_other(
    listening: socket.socket, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST_LINE", 1000)

    async def test() -> None:
        async with serving(listening) as instance, calling(path) as client:
            waiting = asyncio.create_task(result(client, "wait"))
            assert (await failure(client.call("Tools.echo", ["x" * 1000]))).code == errors.INVALID_REQUEST
            instance.tools.gate.set()
            assert await waiting == ""

    run(test)


def test_a_cancelled_call_leaves_its_connection_whole(listening: socket.socket, path: str) -> None:
    async def test() -> None:
        async with serving(listening) as instance, calling(path) as client:
            waiting = asyncio.create_task(result(client, "wait"))
            while not instance.tools.begun:
                await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            instance.tools.gate.set()
            assert await result(client, "echo", 1) == 1
            assert len(instance.server.connections) == 1

    run(test)


def test_closing_fails_what_waits(listening: socket.socket, path: str) -> None:
    async def test() -> None:
        async with serving(listening) as instance, calling(path) as client:
            waiting = asyncio.create_task(failure(result(client, "wait")))
            while not instance.tools.begun:
                await asyncio.sleep(0)
            client.close()
            assert (await waiting).code == errors.UNAVAILABLE

    run(test)


# Deadlines and traces


def test_a_deadline(listening: socket.socket, path: str) -> None:
    async def test() -> None:
        async with serving(listening) as instance, calling(path) as client:
            error = await failure(client.call("Tools.wait", [], deadline_s=0.05))
            assert error.code == errors.DEADLINE_EXCEEDED
            # The service has been told it, and has given up too.
            await asyncio.sleep(0.02)
            assert instance.server.dispatcher.pending == 0
            for deadline_s in (0.0, -1.0):
                error = await failure(client.call("Tools.wait", [], deadline_s=deadline_s))
                assert str(error) == "Tools.wait did not answer within 0 s (-32001)"

    run(test)


def test_a_service_that_does_not_keep_the_deadline(path: str) -> None:
    async def test() -> None:
        async with answering(path, lambda line: b""), calling(path) as client:
            began = time.monotonic()
            error = await failure(client.call("Tools.wait", [], deadline_s=0.05))
            assert error.message == "Tools.wait did not answer within 0.05 s"
            assert time.monotonic() - began < 10  # it would be never

    run(test)


def test_the_deadline_and_the_trace_of_the_call_that_is_served(listening: socket.socket, path: str) -> None:
    async def test() -> None:
        async with serving(listening), calling(path) as client:
            remaining, trace = await result(client, "seen")
            assert 29 < remaining < 30 and trace.startswith("00-")
            outer = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
            enter(Call(deadline=time.monotonic() + 3, traceparent=outer))
            remaining, trace = await result(client, "seen")
            assert 2 < remaining < 3
            assert trace.startswith(outer[:36]) and trace != outer
            remaining, _ = await result(client, "seen", deadline_s=1)
            assert 0.5 < remaining < 1

    run(test)


def test_the_time_to_connect_is_part_of_the_deadline(listening: socket.socket, path: str) -> None:
    async def test() -> None:
        async with calling(path) as client:
            waiting = asyncio.create_task(result(client, "seen", deadline_s=5))
            await asyncio.sleep(0.2)
            async with serving(listening):
                remaining, _ = await waiting
                assert remaining < 5

    run(test)


# Services that come and go


def test_nothing_there(path: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with calling(path) as client:
            error = await failure(client.call("Tools.echo", []))
            assert error.code == errors.UNAVAILABLE
            assert error.message == f"the service cannot be reached at {path}: no such file or directory"
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(path)
            error = await failure(client.call("Tools.echo", []))
            assert error.message == f"the service cannot be reached at {path}: connection refused"
        long = str(tmp_path / ("x" * 200))
        async with calling(long) as client:
            assert (await failure(client.call("Tools.echo", []))).code == errors.UNAVAILABLE

    run(test)


def test_a_call_waits_while_the_service_restarts(listening: socket.socket, path: str) -> None:
    async def test() -> None:
        async with calling(path) as client:
            first = Instance(listening, "first")
            assert await result(client, "who") == "first"
            await first.drain()
            waiting = asyncio.create_task(result(client, "who"))
            await asyncio.sleep(0.1)
            assert not waiting.done()
            async with serving(listening, "second"):
                assert await waiting == "second"

    run(test)


def test_a_call_waits_where_the_queue_of_the_socket_is_full(path: str) -> None:
    async def test() -> None:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path)
            listening.listen(0)
            clients = [Client(path) for _ in range(5)]
            waiting = [asyncio.create_task(result(client, "who")) for client in clients]
            await asyncio.sleep(0.1)
            assert not any(call.done() for call in waiting)
            async with serving(listening, "late"):
                assert await asyncio.gather(*waiting) == ["late"] * 5
                for client in clients:
                    client.close()

    run(test)


def test_a_process_that_dies_loses_what_it_was_serving(listening: socket.socket, path: str) -> None:
    async def test() -> None:
        async with calling(path) as client:
            first = Instance(listening, "first")
            waiting = [asyncio.create_task(failure(result(client, "wait"))) for _ in range(20)]
            while first.tools.begun < 20:
                await asyncio.sleep(0)
            await first.die()
            lost = await asyncio.gather(*waiting)
            assert {error.code for error in lost} == {errors.UNAVAILABLE}
            assert lost[0].message == "the service cannot be reached: the connection was lost before it answered"
            async with serving(listening, "second"):
                assert await result(client, "who") == "second"
            first.tools.gate.set()

    run(test)


def test_a_process_that_dies_loses_nothing_that_it_has_not_seen(listening: socket.socket, path: str) -> None:
    async def test() -> None:
        async with calling(path) as client:
            first = Instance(listening, "first")
            await asyncio.gather(*(result(client, "nap", 0.01) for _ in range(50)))
            assert len(first.server.connections) == module.CONNECTIONS
            first.server.stop()
            async with serving(listening, "second"):
                # All connections are cut, and calls made before the client can have heard of it.
                for connection in list(first.server.connections):
                    connection._transport.get_extra_info("socket")._sock.shutdown(socket.SHUT_RDWR)
                assert await asyncio.gather(*(result(client, "who") for _ in range(50))) == ["second"] * 50
                await first.die()

    run(test)


def test_draining_moves_a_client_to_the_next_instance(listening: socket.socket, path: str) -> None:
    async def test() -> None:
        async with calling(path) as client:
            first = Instance(listening, "first")
            slow = asyncio.create_task(result(client, "wait"))
            while not first.tools.begun:
                await asyncio.sleep(0)
            async with serving(listening, "second"):
                draining = asyncio.create_task(first.drain())
                # Sent before the client can know of it.
                assert await result(client, "who") in ("first", "second")
                await asyncio.sleep(0.01)
                assert await result(client, "who") == "second"
                assert not draining.done()
                first.tools.gate.set()
                assert await slow == "first"
                await draining

    run(test)


def test_no_call_fails_while_instances_are_replaced(listening: socket.socket, path: str) -> None:
    async def test() -> None:
        clients = [Client(path) for _ in range(4)]
        served: Counter[str] = Counter()
        over = False

        async def caller(client: Client, number: int) -> None:
            while not over:
                if number % 4:
                    served[await result(client, "who")] += 1
                else:
                    served[await result(client, "nap", 0.003 * (number % 5))] += 1

        current = Instance(listening, "0")
        async with asyncio.TaskGroup() as group:
            for number in range(32):
                group.create_task(caller(clients[number % 4], number))
            for generation in range(1, 40):
                await until(lambda: served[str(generation - 1)] >= 64)  # noqa: B023 - it is over before the next one
                following = Instance(listening, str(generation))
                # Every third time nobody accepts for a while.
                if generation % 3 == 0:
                    following.server.stop()
                await current.drain()
                if generation % 3 == 0:
                    await asyncio.sleep(0.01)
                    following.server.start()
                current = following
            over = True
        for client in clients:
            client.close()
        await current.die()
        assert set(served) >= {str(generation) for generation in range(39)}

    run(test)


# Services that misbehave


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00\xff\n", b"[1]\n", b"[" * 100_000 + b"\n"])
def test_garbage_for_an_answer(path: str, said: bytes) -> None:
    async def test() -> None:
        async with answering(path, lambda line: said), calling(path) as client:
            error = await failure(client.call("Tools.echo", []))
            assert error.code == errors.UNAVAILABLE
            assert error.message == "the service cannot be reached: it answers with what is not JSON-RPC"

    run(test)


def test_what_was_not_asked_for_is_passed_over(path: str) -> None:
    others = [{"id": 99, "result": 1}, {"method": "rpc.news"}, {"id": None, "result": 2}, {"id": 1, "result": 3}]

    def said(line: bytes) -> bytes:
        answers = [*others, {"id": json.loads(line)["id"], "result": "mine"}] if b'"id":2' in line else others[:3]
        return b"".join(json.dumps(answer).encode() + b"\n" for answer in answers)

    async def test() -> None:
        async with answering(path, said), calling(path) as client:
            first = asyncio.create_task(result(client, "echo"))
            await asyncio.sleep(0.01)
            client._connections[0]._numbers = iter([2])  # type: ignore[assignment]
            second = asyncio.create_task(client._connections[0].call("Tools.echo", [], time.monotonic() + 5, ""))
            assert (bytes(await second), await first) == (b'"mine"', 3)

    run(test)


def test_an_answer_without_end(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_ANSWER", 1000)

    async def test() -> None:
        async with answering(path, lambda line: b"x" * 300_000), calling(path) as client:
            error = await failure(client.call("Tools.echo", []))
            assert error.message == "an answer holds at most 1000 bytes"

    run(test)


def test_a_service_that_hangs_up_on_everybody(path: str) -> None:
    async def test() -> None:
        async with answering(path, lambda line: None), calling(path) as client:
            error = await failure(client.call("Tools.echo", []))
            assert error.message == "the service cannot be reached: the connection was lost before it answered"
        Path(path).unlink(missing_ok=True)

        def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.transport.abort()

        server = await asyncio.start_unix_server(hang_up, path)
        async with calling(path) as client:
            for _ in range(20):
                assert (await failure(client.call("Tools.echo", []))).code == errors.UNAVAILABLE
        server.close()

    run(test)


def test_a_refusal_says_why(listening: socket.socket, path: str) -> None:
    async def test() -> None:
        async with serving(listening, may_call=lambda uid: False), calling(path) as client:
            for _ in range(3):
                error = await failure(client.call("Tools.echo", []))
                assert error.code == errors.FORBIDDEN
                assert error.message == f"not permitted: user {os.geteuid()} may not call this process"

    run(test)


def test_a_service_that_reads_nothing_is_not_written_to_without_end(listening: socket.socket, path: str) -> None:
    async def test() -> None:
        async with calling(path) as client:
            for _ in range(20):
                calls = (client.call("Tools.echo", ["x" * 10_000], deadline_s=0.02) for _ in range(50))
                assert {(await failure(call)).code for call in [asyncio.create_task(c) for c in calls]} == {
                    errors.DEADLINE_EXCEEDED
                }
            held = sum(connection._transport.get_write_buffer_size() for connection in client._connections)
            # 10 MB were to be sent.
            assert held < module.CONNECTIONS * 100_000
            async with serving(listening):
                assert await result(client, "echo", 1) == 1

    run(test)


# Real processes

SERVER = """
import asyncio, signal, socket, sys
from omnitron.host.decorators import service
from omnitron.host.rpc.dispatch import Dispatcher
from omnitron.host.rpc.methods import table
from omnitron.host.transports.unix import UnixServer

@service
class Tools:
    async def nap(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

async def main():
    listening = socket.socket(fileno=int(sys.argv[1]))
    server = UnixServer(Dispatcher(table({"Tools": Tools()})), listening, may_call=lambda uid: True)
    server.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    print("ready", flush=True)
    await stop.wait()
    await server.drain(10)

asyncio.run(main())
"""


def test_a_killed_process_loses_no_more_than_what_it_had(listening: socket.socket, path: str) -> None:
    def started() -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(listening.fileno())],
            pass_fds=[listening.fileno()],
            stdout=subprocess.PIPE,
        )
        assert process.stdout and process.stdout.readline() == b"ready\n"
        return process

    async def test() -> None:
        async with calling(path) as client:
            outcomes: list[int] = []
            over = False

            async def caller() -> None:
                while not over:
                    try:
                        await result(client, "nap", 0.001)
                        outcomes.append(0)
                    except RpcError as error:
                        outcomes.append(error.code)

            processes = [started(), started()]
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(16):
                        group.create_task(caller())
                    await asyncio.sleep(0.2)
                    processes[0].kill()
                    await asyncio.sleep(0.2)
                    assert len(outcomes) - outcomes.count(0) <= 16
                    lost = len(outcomes) - outcomes.count(0)
                    # A stop loses nothing.
                    processes.append(await asyncio.to_thread(started))
                    processes[1].send_signal(signal.SIGTERM)
                    assert await asyncio.to_thread(processes[1].wait, 10) == 0
                    await asyncio.sleep(0.1)
                    over = True
            finally:
                for process in processes:
                    process.kill()
                    process.communicate()
            assert len(outcomes) - outcomes.count(0) == lost
            assert set(outcomes) <= {0, errors.UNAVAILABLE}

    run(test)
