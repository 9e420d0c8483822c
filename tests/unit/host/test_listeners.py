from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from omnitron.host.decorators import service
from omnitron.host.loading import Loader
from omnitron.host.rpc.client import Client
from omnitron.host.rpc.methods import table
from omnitron.host.transports import http_server, sockets
from omnitron.host.transports.listeners import CONTROL, Transports
from omnitron.policy.host_spec import HostSpec, Http, Jwt, Route, WebSocket
from tests.support.event_loop import run

SECRET = "0123456789abcdef0123456789abcdef"
ROUTES = """
async def hello(request):
    return {"hello": request.path_params["name"]}
"""


@service
class Tools:
    def __init__(self) -> None:
        self.begun = 0
        self.gate = asyncio.Event()

    async def echo(self, value: Any = None) -> Any:
        return value

    async def wait(self, value: Any = None) -> Any:
        self.begun += 1
        await self.gate.wait()
        return value


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "GRACE_S", 0.1)


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "runtime"
    folder.mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", f"{folder}:/elsewhere")
    return folder


class Held:
    """The sockets that systemd would hold, by name."""

    def __init__(self, folder: Path) -> None:
        self.rpc = folder / "rpc.sock"
        self.sockets = {
            "rpc": sockets.listen_unix(self.rpc),
            "http": sockets.listen_tcp("127.0.0.1", 0),
            "websocket": sockets.listen_tcp("127.0.0.1", 0),
        }

    def address(self, name: str) -> tuple[str, int]:
        host, port = self.sockets[name].getsockname()
        return host, port


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    held = Held(tmp_path)
    # Taking them over needs a process of its own: test_sockets.
    monkeypatch.setattr(sockets, "inherited", lambda: {name: [one.dup()] for name, one in held.sockets.items()})
    yield held
    for one in held.sockets.values():
        one.close()


def spec(tmp_path: Path, **more: Any) -> HostSpec:
    folder = str(tmp_path)
    return HostSpec("acme", "dev", "api", "web", folder, (folder,), "app.py", **more)


@asynccontextmanager
async def opened(spec: HostSpec) -> AsyncIterator[tuple[Transports, Tools]]:
    tools, transports = Tools(), Transports(spec)
    assert transports.problem() is None
    transports.open(table({"Tools": tools}), Loader([Path(folder) for folder in spec.folders]))
    try:
        yield transports, tools
    finally:
        tools.gate.set()
        await transports.drain(0)
        for server in transports._servers:
            server._acceptor._socket.close()
        for left in transports._inherited.values():
            for one in left:
                one.close()
        await asyncio.sleep(0.01)


async def called(path: Path, method: str, *params: Any) -> Any:
    client = Client(str(path))
    try:
        return msgspec.json.decode(await client.call(f"Tools.{method}", params))
    finally:
        client.close()


async def exchanged(address: Any, request: bytes) -> bytes:
    """What comes back until the end."""
    if isinstance(address, Path):
        reader, writer = await asyncio.open_unix_connection(address)
    else:
        reader, writer = await asyncio.open_connection(*address)
    writer.write(request)
    try:
        return await reader.read()
    finally:
        writer.close()


def get(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", "Connection: close", *headers, "", ""]).encode()


def post(method: str, *params: Any) -> bytes:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": f"Tools.{method}", "params": params})
    return f"POST /rpc HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


# What is opened


def test_a_process_without_transports_has_its_own_socket_at_most(
    tmp_path: Path, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
        async with opened(spec(tmp_path)) as (transports, _):
            assert transports._servers == []
            assert transports.problem() is None

    run(test)


def test_a_process_answers_on_its_own_socket(tmp_path: Path, runtime: Path) -> None:
    async def test() -> None:
        async with opened(spec(tmp_path)):
            assert await called(runtime / CONTROL, "echo", 1) == 1
            page = (await exchanged(runtime / CONTROL, get("/metrics"))).decode()
            assert 'omnitron_rpc_calls_total{method="Tools.echo",outcome="ok"} 1\n' in page
            assert "omnitron_rpc_pending 0\n" in page
            assert (await exchanged(runtime / CONTROL, get("/other"))).startswith(b"HTTP/1.1 404 ")
        # A process that was killed leaves its socket: the next one takes its place.
        async with opened(spec(tmp_path, metrics=False)):
            assert await called(runtime / CONTROL, "echo", 2) == 2
            assert (await exchanged(runtime / CONTROL, get("/metrics"))).startswith(b"HTTP/1.1 404 ")

    run(test)


def test_services_are_exposed_where_the_definition_says_so(tmp_path: Path, held: Held) -> None:
    async def test() -> None:
        async with opened(spec(tmp_path, expose=True)):
            assert await called(held.rpc, "echo", 1) == 1
            # Numbers about the process are no business of those who call its services.
            assert (await exchanged(held.rpc, get("/metrics"))).startswith(b"HTTP/1.1 404 ")
        async with opened(spec(tmp_path)) as (transports, _):
            assert not transports._unix

    run(test)


def test_http_with_its_routes_and_limits(tmp_path: Path, held: Held, runtime: Path) -> None:
    (tmp_path / "routes_of_web.py").write_text(ROUTES)
    http = Http("", 0, app_version="1.2", max_request_size=500, request_timeout=300)
    routes = (Route("GET", "/hello/{name}", "routes_of_web.py:hello"),)

    async def test() -> None:
        async with opened(spec(tmp_path, http=http, routes=routes)):
            address = held.address("http")
            answer = await exchanged(address, get("/hello/you", "Origin: http://a.example"))
            assert answer.endswith(b'{"hello":"you"}')
            assert b"x-app-version: 1.2\r\n" in answer and b"access-control-allow-origin: *\r\n" in answer
            assert (await exchanged(address, post("echo", 1))).endswith(b'{"result":1,"id":1,"jsonrpc":"2.0"}')
            assert (await exchanged(address, post("echo", "x" * 1000))).startswith(b"HTTP/1.1 413 ")
            assert b'"code":-32001' in await exchanged(address, post("wait"))
            page = (await exchanged(runtime / CONTROL, get("/metrics"))).decode()
            assert 'omnitron_http_requests_total{method="GET",route="/hello/{name}",status="200"} 1\n' in page
            assert 'omnitron_http_requests_total{method="POST",route="/rpc",status="413"} 1\n' in page
            assert 'omnitron_http_seconds_count{route="/rpc"} 3\n' in page

    run(test)


def test_http_where_systemd_holds_no_socket(tmp_path: Path) -> None:
    async def test() -> None:
        async with opened(spec(tmp_path, http=Http("127.0.0.1", 0), metrics=False)) as (transports, _):
            (server,) = transports._http
            address = server._acceptor._socket.getsockname()
            assert (await exchanged(address, post("echo", 1))).startswith(b"HTTP/1.1 200 ")

    run(test)


def test_a_websocket_beside_http(tmp_path: Path, held: Held) -> None:
    async def test() -> None:
        both = spec(tmp_path, http=Http("", 0), websocket=WebSocket("", 0, path="/feed"))
        async with opened(both) as (transports, _):
            host, port = held.address("websocket")
            async with connect(f"ws://{host}:{port}/feed", proxy=None) as client:
                await client.send('{"jsonrpc":"2.0","id":1,"method":"rpc.subscribe","params":{"topic":"news"}}')
                assert json.loads(await client.recv())["result"] is True
                assert transports.hub.publish("news", 1) == 1
                assert json.loads(await client.recv())["params"] == {"topic": "news", "data": 1}
            # Each has its own address.
            assert (await exchanged((host, port), post("echo"))).startswith(b"HTTP/1.1 404 ")
            host, port = held.address("http")
            with pytest.raises(InvalidStatus):
                async with connect(f"ws://{host}:{port}/feed", proxy=None):
                    pass

    run(test)


def test_tokens_are_checked_on_http_and_websockets_but_not_between_processes(
    tmp_path: Path, held: Held, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "jwt-key").write_text(SECRET)
    (tmp_path / "jwt-key").chmod(0o600)
    token = jwt.encode({"sub": "ann", "exp": time.time() + 60}, SECRET, "HS256")

    async def test(settings: Jwt) -> None:
        protected = spec(tmp_path, http=Http("", 0), websocket=WebSocket("", 0), jwt=settings, expose=True)
        async with opened(protected):
            assert (await exchanged(held.address("http"), get("/"))).startswith(b"HTTP/1.1 401 ")
            authorized = get("/", f"Authorization: Bearer {token}")
            assert (await exchanged(held.address("http"), authorized)).startswith(b"HTTP/1.1 404 ")
            host, port = held.address("websocket")
            with pytest.raises(InvalidStatus) as caught:
                async with connect(f"ws://{host}:{port}/ws", proxy=None):
                    pass
            assert caught.value.response.status_code == 401
            assert await called(held.rpc, "echo", 1) == 1
            assert await called(runtime / CONTROL, "echo", 1) == 1

    run(lambda: test(Jwt(key_file=str(tmp_path / "jwt-key"))))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    run(lambda: test(Jwt(credential="jwt-key")))


# Health and the end


def test_a_transport_that_cannot_accept_is_wrong(tmp_path: Path, held: Held) -> None:
    async def test() -> None:
        async with opened(spec(tmp_path, expose=True, http=Http("", 0))) as (transports, _):
            assert transports.problem() is None
            transports._http[0].stop()
            assert transports.problem() == "it accepts no connections: too many files are open"

    run(test)


def test_draining_finishes_what_is_in_flight_everywhere(tmp_path: Path, held: Held) -> None:
    async def test() -> None:
        everything = spec(tmp_path, expose=True, http=Http("", 0), websocket=WebSocket("", 0))
        async with opened(everything) as (transports, tools):
            host, port = held.address("websocket")
            async with connect(f"ws://{host}:{port}/ws", proxy=None) as client:
                await client.send('{"jsonrpc":"2.0","id":1,"method":"Tools.wait","params":["feed"]}')
                over_unix = asyncio.create_task(called(held.rpc, "wait", "unix"))
                over_http = asyncio.create_task(exchanged(held.address("http"), post("wait", "http")))
                while tools.begun < 3:
                    await asyncio.sleep(0.002)
                draining = asyncio.create_task(transports.drain(5))
                await asyncio.sleep(http_server.GRACE_S + 0.1)
                assert not draining.done()
                # Nobody is let in any more: what comes waits for the process that comes next.
                late = asyncio.create_task(called(held.rpc, "echo", "late"))
                await asyncio.sleep(0.02)
                assert not late.done()
                late.cancel()
                tools.gate.set()
                assert await over_unix == "unix"
                assert b"http" in await over_http
                assert json.loads(await client.recv())["result"] == "feed"
                with pytest.raises(ConnectionClosed) as caught:
                    await client.recv()
                assert caught.value.rcvd and caught.value.rcvd.code == 1012
            await draining
            with suppress(asyncio.CancelledError):
                await late

    run(test)


def test_draining_ends_in_time_whatever_is_in_flight(tmp_path: Path, held: Held) -> None:
    async def test() -> None:
        everything = spec(tmp_path, expose=True, http=Http("", 0), websocket=WebSocket("", 0))
        async with opened(everything) as (transports, tools):
            host, port = held.address("websocket")
            async with connect(f"ws://{host}:{port}/ws", proxy=None, close_timeout=0.1) as client:
                await client.send('{"jsonrpc":"2.0","id":1,"method":"Tools.wait"}')
                others = [
                    asyncio.create_task(called(held.rpc, "wait")),
                    asyncio.create_task(exchanged(held.address("http"), post("wait"))),
                ]
                while tools.begun < 3:
                    await asyncio.sleep(0.002)
                began = time.monotonic()
                await transports.drain(0.3)
                assert 0.25 < time.monotonic() - began < 10
                await asyncio.gather(*others, return_exceptions=True)

    run(test)


def test_a_process_without_http_does_not_pay_for_it() -> None:

    program = (
        "import sys; from omnitron.host import transports; "
        "print([name for name in ('uvicorn', 'starlette', 'websockets', 'httptools', 'jwt') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ)
    assert said.stdout == "[]\n"


def test_sockets_of_no_transport_are_left_alone(tmp_path: Path, held: Held) -> None:
    async def test() -> None:
        async with opened(spec(tmp_path)):
            with socket.create_connection(held.address("http")) as client:
                client.setblocking(False)
                await asyncio.sleep(0.05)
                with pytest.raises(BlockingIOError):
                    client.recv(1)

    run(test)
