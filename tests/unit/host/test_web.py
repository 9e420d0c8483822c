from __future__ import annotations

import asyncio
import gc
import http.client
import json
import random
import re
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse

from omnitron.host.auth.identity import Forbidden, Identity, Unauthenticated, requires
from omnitron.host.decorators import service
from omnitron.host.rpc.calls import current_call
from omnitron.host.rpc.dispatch import Dispatcher
from omnitron.host.rpc.methods import table
from omnitron.host.transports import http_server, web
from omnitron.host.transports.http_server import HttpServer
from omnitron.host.transports.topics import Hub
from omnitron.host.transports.web import Web
from tests.support.event_loop import memory, run

JSON = "application/json"


@service
class Tools:
    async def echo(self, value: Any = None) -> Any:
        return value

    async def nap(self, seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "rested"

    async def fail(self) -> None:
        raise ValueError("a secret")

    async def seen(self) -> list[Any]:
        call = current_call()
        assert call
        return [call.identity and call.identity.subject, call.remaining(), call.trace_id, call.transport]

    @requires()
    async def known(self) -> str:
        return "known"

    @requires("admin")
    async def admin(self) -> str:
        return "admin"


def verify(token: str) -> Identity:
    if token not in ("ann", "root"):
        raise Unauthenticated('the "token" is unknown')
    return Identity(token, frozenset({"admin"} if token == "root" else ()))


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "GRACE_S", 0.1)
    monkeypatch.setattr(http_server, "LINGER_S", 0.3)
    monkeypatch.setattr(http_server, "TICK_S", 0.05)
    monkeypatch.setattr(web, "LATER_S", 0.05)


@asynccontextmanager
async def serving(listening: socket.socket, *, max_pending: int = 1000, **more: Any) -> AsyncIterator[HttpServer]:
    longest_s = more.get("request_s")
    dispatcher = Dispatcher(table({"Tools": Tools()}), max_pending=max_pending, longest_s=longest_s)
    server = HttpServer(Web(dispatcher, Hub(), **more).app, listening, keep_alive_s=5, headers_s=5)
    server.start()
    try:
        yield server
    finally:
        await server.drain(time.monotonic())
        while server.state.connections or server.state.tasks:
            await asyncio.sleep(0)


class Answer:
    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def said(self) -> Any:
        return json.loads(self.body)


class Talk:
    """A client that keeps its connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    def begin(self, method: str, path: str, *headers: str) -> None:
        self.say("\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode("latin-1"))

    async def heard(self, *, has_body: bool = True) -> Answer:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        length = int(headers.get("content-length", 0)) if has_body else 0
        return Answer(int(first.split()[1]), headers, await self.reader.readexactly(length))

    async def ask(self, method: str, path: str, *headers: str, body: bytes | None = None) -> Answer:
        length = [] if body is None else [f"Content-Length: {len(body)}"]
        self.begin(method, path, *headers, *length)
        self.say(body or b"")
        return await self.heard(has_body=method != "HEAD")

    async def call(self, method: str, *params: Any, headers: tuple[str, ...] = ()) -> Answer:
        message = {"jsonrpc": "2.0", "id": 1, "method": f"Tools.{method}", "params": params}
        return await self.ask("POST", "/rpc", *headers, body=json.dumps(message).encode())

    async def rest(self) -> bytes:
        data = b""
        with suppress(ConnectionResetError):
            while piece := await self.reader.read(1 << 20):
                data += piece
        return data


@asynccontextmanager
async def talking(listening: socket.socket) -> AsyncIterator[Talk]:
    reader, writer = await asyncio.open_connection(*listening.getsockname())
    try:
        yield Talk(reader, writer)
    finally:
        writer.close()


def bearer(token: str) -> tuple[str, ...]:
    return (f"Authorization: Bearer {token}",)


# Calls


def test_a_call(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening), talking(listening) as talk:
            answer = await talk.call("echo", {"ä": [1, None]})
            assert (answer.status, answer.headers["content-type"]) == (200, JSON)
            assert answer.said == {"jsonrpc": "2.0", "id": 1, "result": {"ä": [1, None]}}
            answer = await talk.call("fail")
            assert (answer.status, answer.said["error"]["code"]) == (200, -32603)
            assert b"secret" not in answer.body
            assert (await talk.call("none")).said["error"]["code"] == -32601

    run(test)


def test_a_call_from_the_standard_librarys_client(listening: socket.socket) -> None:
    def asked() -> tuple[int, Any]:
        connection = http.client.HTTPConnection(*listening.getsockname())
        try:
            body = json.dumps({"jsonrpc": "2.0", "id": "a", "method": "Tools.echo", "params": ["x" * 3_000_000]})
            connection.request("POST", "/rpc", body, {"Content-Type": JSON})
            response = connection.getresponse()
            return response.status, len(json.loads(response.read())["result"])
        finally:
            connection.close()

    async def test() -> None:
        async with serving(listening):
            assert await asyncio.to_thread(asked) == (200, 3_000_000)

    run(test)


def test_batches_and_notifications(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening), talking(listening) as talk:
            note = {"jsonrpc": "2.0", "method": "Tools.echo"}
            batch = [{**note, "id": 1, "params": ["a"]}, note, {**note, "id": 2, "params": ["b"]}, 3]
            answer = await talk.ask("POST", "/rpc", body=json.dumps(batch).encode())
            assert [one.get("result", one.get("error", {}).get("code")) for one in answer.said] == ["a", "b", -32600]
            for silent in (note, [note, note]):
                answer = await talk.ask("POST", "/rpc", body=json.dumps(silent).encode())
                assert (answer.status, answer.body) == (204, b"")

    run(test)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 200_000, b"null", b"[]", b'{"jsonrpc":"1.0","id":1}'])
def test_what_is_no_call(listening: socket.socket, body: bytes) -> None:
    async def test() -> None:
        async with serving(listening), talking(listening) as talk:
            answer = await talk.ask("POST", "/rpc", body=body)
            assert answer.status == 200
            assert answer.said["error"]["code"] in (-32700, -32600)
            assert (await talk.call("echo", 1)).said["result"] == 1

    run(test)


def test_random_bodies(listening: socket.socket) -> None:
    dice = random.Random(11)
    pieces = [
        *(b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"\\u0000", b"1e999", b"-", b"null", b"true", b"\xff", b" "),
        *(
            b'"jsonrpc":"2.0"',
            b'"method":"Tools.echo"',
            b'"id":1',
            b'"params":[1]',
            b'"params":{"value":',
            b'"deadline":0',
        ),
        b'{"jsonrpc":"2.0","id":1,"method":"Tools.echo","params":["x"]}',
    ]

    async def test() -> None:
        async with serving(listening), talking(listening) as talk:
            for number in range(1500):
                body = b"".join(dice.choices(pieces, k=dice.randrange(12))) + dice.randbytes(dice.choice([0, 0, 3]))
                answer = await talk.ask("POST", "/rpc?x" if number % 10 else "/rpc", body=body)
                assert answer.status in (200, 204)
                if answer.status == 200:
                    for one in answer.said if isinstance(answer.said, list) else [answer.said]:
                        assert one["jsonrpc"] == "2.0" and ("result" in one) != ("error" in one)

    run(test)


def test_calls_are_made_with_post(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening), talking(listening) as talk:
            for method in ("GET", "HEAD", "PUT", "OPTIONS"):
                answer = await talk.ask(method, "/rpc")
                assert (answer.status, answer.headers["allow"]) == (405, "POST")
            assert (await talk.ask("GET", "/")).status == 404
            assert (await talk.ask("POST", "/rpc/", body=b"{}")).status == 404

    run(test)


def test_a_listener_for_websockets_takes_no_calls(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening, http=False, websocket_path="/ws"), talking(listening) as talk:
            assert (await talk.call("echo")).status == 404
            assert (await talk.ask("GET", "/ws")).status == 404

    run(test)


# Who may call


def test_without_a_verifier_nobody_is_asked(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening), talking(listening) as talk:
            assert (await talk.call("seen", headers=bearer("anything"))).said["result"][0] is None
            answer = await talk.call("known")
            assert (answer.status, answer.said["error"]["code"]) == (401, -32002)
            assert answer.headers["www-authenticate"] == 'Bearer realm="omnitron"'

    run(test)


def test_tokens_and_roles(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening, verify=verify), talking(listening) as talk:
            answer = await talk.call("echo")
            assert (answer.status, answer.body) == (401, b"a bearer token is needed\n")
            assert answer.headers["www-authenticate"] == 'Bearer realm="omnitron"'
            answer = await talk.call("echo", headers=bearer("eve"))
            assert answer.status == 401
            assert answer.headers["www-authenticate"] == (
                'Bearer realm="omnitron", error="invalid_token", error_description="the ?token? is unknown"'
            )
            assert (await talk.call("seen", headers=bearer("ann"))).said["result"][0] == "ann"
            assert (await talk.call("known", headers=bearer("ann"))).said["result"] == "known"
            answer = await talk.call("admin", headers=bearer("ann"))
            assert (answer.status, answer.said["error"]["code"]) == (403, -32003)
            assert answer.headers["www-authenticate"] == 'Bearer realm="omnitron"'
            assert (await talk.call("admin", headers=bearer("root"))).said["result"] == "admin"

    run(test)


def test_a_batch_has_one_status(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening), talking(listening) as talk:
            batch = [{"jsonrpc": "2.0", "id": number, "method": "Tools.admin"} for number in range(2)]
            answer = await talk.ask("POST", "/rpc", body=json.dumps(batch).encode())
            assert answer.status == 200
            assert [one["error"]["code"] for one in answer.said] == [-32002] * 2

    run(test)


def test_a_process_with_too_much_to_do_says_so(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening, max_pending=1), talking(listening) as one, talking(listening) as other:
            slow = asyncio.create_task(one.call("nap", 0.1))
            await asyncio.sleep(0.03)
            answer = await other.call("echo")
            assert (answer.status, answer.said["error"]["code"]) == (503, -32000)
            assert (await slow).said["result"] == "rested"

    run(test)


# Time


def test_a_call_that_takes_too_long(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening, request_s=0.1), talking(listening) as talk:
            answer = await talk.call("nap", 5)
            assert (answer.status, answer.said["error"]["code"]) == (200, -32001)
            assert (await talk.call("echo", 1)).said["result"] == 1

    run(test)


def test_the_caller_may_wait_less(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening), talking(listening) as talk:
            answer = await talk.call("nap", 5, headers=("X-Request-Timeout: 0.05",))
            assert answer.said["error"]["code"] == -32001
            for wait, least, most in (("5", 4.5, 5), ("nan", 119, 120), ("x", 119, 120), ("1e999", 119, 120)):
                remaining = (await talk.call("seen", headers=(f"X-Request-Timeout: {wait}",))).said["result"][1]
                assert least < remaining <= most
            assert (await talk.call("echo", headers=("X-Request-Timeout: -1",))).said["error"]["code"] == -32001

    run(test)


def test_a_route_that_takes_too_long(listening: socket.socket) -> None:
    ended: list[str] = []

    async def slow(request: Request) -> str:
        try:
            await asyncio.sleep(5)
        finally:
            ended.append(request.url.path)
        return "never"

    async def stubborn(request: Request) -> str:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(5)
        return "done all the same"

    async def late(request: Request) -> str:
        raise TimeoutError("of its own")

    async def cancelled(request: Request) -> str:
        waiting = asyncio.get_running_loop().create_future()
        waiting.cancel()
        return str(await waiting)

    routes = [("GET", f"/{one.__name__}", one) for one in (slow, stubborn, late, cancelled)]

    async def test() -> None:
        async with serving(listening, request_s=0.1, routes=routes):
            for path, status in (("/slow", 504), ("/late", 500), ("/cancelled", 500), ("/stubborn", 200)):
                async with talking(listening) as talk:
                    answer = await talk.ask("GET", path)
                    assert answer.status == status
                    if status == 504:
                        assert (answer.body, answer.headers["connection"]) == (b"not done in time\n", "close")
                        assert await talk.rest() == b""
            # Each has its own time, whatever began before it.
            async with talking(listening) as one, talking(listening) as other:
                first = asyncio.create_task(one.ask("GET", "/slow"))
                await asyncio.sleep(0.07)
                began = time.monotonic()
                assert (await other.ask("GET", "/slow")).status == 504
                assert time.monotonic() - began > 0.12
                assert first.done()
            assert ended == ["/slow"] * 3

    run(test)


def test_a_body_that_comes_too_slowly(listening: socket.socket) -> None:
    async def read(request: Request) -> str:
        return str(len(await request.body()))

    async def test() -> None:
        async with serving(listening, request_s=0.1, routes=[("POST", "/read", read)]) as server:
            for path in ("/rpc", "/read"):
                async with talking(listening) as talk:
                    talk.begin("POST", path, "Content-Length: 1000")
                    began = time.monotonic()
                    heard = asyncio.create_task(talk.heard())
                    while not heard.done():
                        talk.say(b"x")
                        await asyncio.sleep(0.01)
                    assert (await heard).status == 504
                    assert time.monotonic() - began < 5  # all of it would take 10 s
            while server.state.connections:
                await asyncio.sleep(0.01)

    run(test)


def test_a_client_that_goes_before_its_answer(listening: socket.socket, caplog: pytest.LogCaptureFixture) -> None:
    async def read(request: Request) -> str:
        return str(len(await request.body()))

    async def test() -> None:
        async with serving(listening, routes=[("POST", "/read", read)]) as server:
            for path in ("/rpc", "/read"):
                for body in (
                    b"x",
                    json.dumps({"jsonrpc": "2.0", "id": 1, "method": "Tools.nap", "params": [0.05]}).encode(),
                ):
                    async with talking(listening) as talk:
                        talk.begin("POST", path, f"Content-Length: {max(len(body), 10)}")
                        talk.say(body)
                        await asyncio.sleep(0.01)
                        talk.writer.transport.abort()
            while server.state.connections or server.state.tasks:
                await asyncio.sleep(0.01)

    run(test)
    assert not caplog.records


# Size


def test_a_body_that_is_too_large(listening: socket.socket) -> None:
    async def read(request: Request) -> str:
        return str(len(await request.body()))

    async def test() -> None:
        async with serving(listening, longest_body=1000, routes=[("POST", "/read", read)]) as server:
            for path in ("/rpc", "/read"):
                async with talking(listening) as talk:
                    assert (await talk.ask("POST", path, body=b" " * 1000)).status == 200
                    answer = await talk.ask("POST", path, body=b" " * 1001)
                    assert (answer.status, answer.headers["connection"]) == (413, "close")
                    assert answer.body == b"a body holds at most 1000 bytes\n"
                    assert await talk.rest() == b""
                async with talking(listening) as talk:
                    talk.begin("POST", path, "Transfer-Encoding: chunked")
                    for _ in range(11):
                        talk.say(b"64\r\n" + b" " * 100 + b"\r\n")
                        await asyncio.sleep(0)
                    answer = await talk.heard()
                    assert (answer.status, answer.headers["connection"]) == (413, "close")
                    assert await talk.rest() == b""
                # Who asks first is spared the sending.
                async with talking(listening) as talk:
                    talk.begin("POST", path, "Content-Length: 9999999", "Expect: 100-continue")
                    assert (await talk.heard()).status == 413
            while server.state.connections:
                await asyncio.sleep(0.01)

    run(test)


def test_bodies_of_all_requests_together_are_bounded(listening: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "BODIES_TOGETHER", 2)

    async def test() -> None:
        async with serving(listening, longest_body=1000), talking(listening) as one, talking(listening) as two:
            for talk in (one, two):
                talk.begin("POST", "/rpc", "Content-Length: 1000")
                talk.say(b" " * 999)
            await asyncio.sleep(0.05)
            async with talking(listening) as three:
                answer = await three.ask("POST", "/rpc", body=b" " * 1000)
                assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            for talk in (one, two):
                talk.say(b" ")
                assert (await talk.heard()).status == 200
            # What is answered is no longer held.
            async with talking(listening) as four:
                assert (await four.ask("POST", "/rpc", body=b" " * 1000)).status == 200

    run(test)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_100_mb_is_neither_kept_nor_an_answer_lost(
    listening: socket.socket, chunked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "LINGER_S", 5)
    block = b"x" * (1 << 20)

    async def test() -> None:
        async with serving(listening), talking(listening) as talk:
            before = memory()
            talk.begin("POST", "/rpc", "Transfer-Encoding: chunked" if chunked else f"Content-Length: {100 << 20}")
            sent = 0
            with suppress(ConnectionError):
                for _ in range(100):
                    talk.say(b"100000\r\n" + block + b"\r\n" if chunked else block)
                    sent += len(block)
                    await talk.writer.drain()
            assert memory() - before < 40 << 20
            # A client that reads only once it has sent all still learns why it was not served.
            assert (await talk.heard()).status == 413

    run(test)


# Routes


def route_table() -> list[tuple[str, str, Callable[..., Any]]]:
    async def typed(request: Request) -> Any:
        return {name: [value, type(value).__name__] for name, value in request.path_params.items()}

    async def echo(request: Request) -> Any:
        return JSONResponse(
            {"method": request.method, "query": dict(request.query_params), "body": await request.json()}
        )

    async def text(request: Request) -> str:
        return "grüße"

    def plain(request: Request) -> Any:
        return PlainTextResponse("sync", status_code=201, headers={"x-mine": "1"})

    def nothing(request: Request) -> None:
        return None

    async def data(request: Request) -> Any:
        return [1, None, {"a": "b"}]

    def raw(request: Request) -> bytes:
        return b"\x00\xff"

    async def stream(request: Request) -> Any:
        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(3):
                yield b"piece"

        return StreamingResponse(pieces())

    async def seen(request: Request) -> Any:
        call = current_call()
        assert call
        return [call.identity and call.identity.subject, call.transport, call.trace_id]

    return [
        ("GET", "/orders/{id:int}/{name}", typed),
        ("GET", "/files/{path:path}", typed),
        ("GET", "/text", text),
        ("POST", "/text", echo),
        ("PUT", "/text", echo),
        ("GET", "/plain", plain),
        ("DELETE", "/nothing", nothing),
        ("GET", "/data", data),
        ("GET", "/raw", raw),
        ("GET", "/stream", stream),
        ("GET", "/seen", seen),
    ]


def test_what_handlers_give_becomes_a_response(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening, routes=route_table()), talking(listening) as talk:
            answer = await talk.ask("GET", "/text")
            assert answer.headers["content-type"] == "text/plain; charset=utf-8"
            assert answer.body == "grüße".encode()
            answer = await talk.ask("GET", "/plain")
            assert (answer.status, answer.headers["x-mine"], answer.body) == (201, "1", b"sync")
            answer = await talk.ask("DELETE", "/nothing")
            assert (answer.status, answer.body) == (204, b"")
            answer = await talk.ask("GET", "/data")
            assert (answer.headers["content-type"], answer.said) == (JSON, [1, None, {"a": "b"}])
            assert (await talk.ask("GET", "/raw")).body == b"\x00\xff"
            answer = await talk.ask("POST", "/text?a=1&b=%C3%BC", body=b'{"x": 1}')
            assert answer.said == {"method": "POST", "query": {"a": "1", "b": "ü"}, "body": {"x": 1}}
            talk.begin("GET", "/stream", "Connection: close")
            assert (await talk.rest()).endswith(b"\r\n\r\n5\r\npiece\r\n5\r\npiece\r\n5\r\npiece\r\n0\r\n\r\n")

    run(test)


def test_patterns(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening, routes=route_table()), talking(listening) as talk:
            assert (await talk.ask("GET", "/orders/12/a%20b")).said == {"id": [12, "int"], "name": ["a b", "str"]}
            assert (await talk.ask("GET", "/files/a/b%2Fc")).said == {"path": ["a/b/c", "str"]}
            for path in ("/orders/x/y", "/orders/1/a/b", "/Text", "/text/", "//text", "/orders/" + "9" * 5000 + "/x"):
                assert (await talk.ask("GET", path)).status == 404

    run(test)


def test_methods_of_a_route(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening, routes=route_table()), talking(listening) as talk:
            answer = await talk.ask("HEAD", "/text")
            assert (answer.status, answer.headers["content-length"], answer.body) == (200, "7", b"")
            answer = await talk.ask("DELETE", "/text")
            assert (answer.status, answer.headers["allow"]) == (405, "GET, POST, PUT")
            answer = await talk.ask("HEAD", "/nothing")
            assert (answer.status, answer.headers["allow"]) == (405, "DELETE")
            assert (await talk.ask("OPTIONS", "/text")).status == 405

    run(test)


def test_a_route_knows_its_caller(listening: socket.socket) -> None:
    @requires("admin")
    async def admin(request: Request) -> str:
        return "admin"

    async def refuse(request: Request) -> str:
        raise Forbidden(frozenset({"owner"}))

    routes = [*route_table(), ("GET", "/admin", admin), ("GET", "/refuse", refuse)]
    trace = "0af7651916cd43dd8448eb211c80319c"

    async def test() -> None:
        async with serving(listening, routes=routes, verify=verify), talking(listening) as talk:
            assert (await talk.ask("GET", "/text")).status == 401
            headers = (*bearer("ann"), f"traceparent: 00-{trace}-b7ad6b7169203331-01")
            assert (await talk.ask("GET", "/seen", *headers)).said == ["ann", "http", trace]
            answer = await talk.ask("GET", "/admin", *bearer("ann"))
            assert (answer.status, answer.body) == (403, b"needs the role 'admin'\n")
            assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
            assert (await talk.ask("GET", "/admin", *bearer("root"))).body == b"admin"
            assert (await talk.ask("GET", "/refuse", *bearer("root"))).status == 403

    run(test)


def test_a_handler_that_fails(listening: socket.socket, caplog: pytest.LogCaptureFixture) -> None:
    async def fail(request: Request) -> None:
        raise ValueError("a secret")

    async def unsendable(request: Request) -> Any:
        return {"a": object()}

    async def silent(request: Request) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            pass

        return app

    async def half(request: Request) -> Any:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"piece"
            raise ValueError("a secret")

        return StreamingResponse(pieces())

    routes = [("GET", f"/{one.__name__}", one) for one in (fail, unsendable, silent, half)]

    async def test() -> None:
        async with serving(listening, routes=routes), talking(listening) as talk:
            for path in ("/fail", "/unsendable", "/silent"):
                answer = await talk.ask("GET", path)
                assert answer.status == 500
                assert re.fullmatch(rb"internal error [0-9a-f]{12}\n", answer.body)
                assert answer.body.split()[-1].decode() in caplog.messages[-1]
            talk.begin("GET", "/half")
            assert (await talk.rest()).endswith(b"5\r\npiece\r\n")

    run(test)
    assert [message.split(" [")[0] for message in caplog.messages] == [
        f"GET '/{path}' failed" for path in ("fail", "unsendable", "silent", "half")
    ]


# Headers


def test_the_version_is_in_every_response(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening, version="1.2.3", routes=route_table()), talking(listening) as talk:
            for method, path in (
                ("GET", "/text"),
                ("GET", "/none"),
                ("POST", "/rpc"),
                ("DELETE", "/text"),
                ("GET", "/data"),
            ):
                assert (await talk.ask(method, path, body=b"")).headers["x-app-version"] == "1.2.3"

    run(test)


def test_no_cors(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening, routes=route_table()), talking(listening) as talk:
            answer = await talk.ask("GET", "/text", "Origin: http://a.example")
            assert not {name for name in answer.headers if name.startswith("access-control") or name == "vary"}

    run(test)


PREFLIGHT = ("Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type, x-mine")


def test_cors_for_everybody(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening, cors=True, routes=route_table(), verify=verify), talking(listening) as talk:
            origin = "Origin: http://a.example"
            # Who asks whether it may is not asked who it is.
            answer = await talk.ask("OPTIONS", "/rpc", origin, *PREFLIGHT)
            assert answer.status == 200
            assert answer.headers["access-control-allow-origin"] == "*"
            assert "POST" in answer.headers["access-control-allow-methods"]
            assert answer.headers["access-control-allow-headers"] == "content-type, x-mine"
            assert answer.headers["access-control-max-age"] == "600"
            for path, status in (("/text", 200), ("/none", 404)):
                answer = await talk.ask("GET", path, origin, *bearer("ann"))
                assert (answer.status, answer.headers["access-control-allow-origin"]) == (status, "*")
            answer = await talk.ask("GET", "/text", origin)
            assert (answer.status, answer.headers["access-control-allow-origin"]) == (401, "*")
            answer = await talk.ask("GET", "/text", *bearer("ann"))
            assert "access-control-allow-origin" not in answer.headers
            assert answer.headers["vary"] == "Origin"

    run(test)


@pytest.mark.parametrize("key", ["origin", "origins"])
def test_cors_for_some(listening: socket.socket, key: str) -> None:
    cors = {key: ["http://a.example", "http://b.example"], "credentials": True, "methods": ["GET"], "maxAge": 5}

    async def test() -> None:
        async with serving(listening, cors=cors, routes=route_table()), talking(listening) as talk:
            for name in ("a", "b"):
                answer = await talk.ask("GET", "/text", f"Origin: http://{name}.example")
                assert answer.headers["access-control-allow-origin"] == f"http://{name}.example"
                assert answer.headers["access-control-allow-credentials"] == "true"
                assert answer.headers["vary"] == "Origin"
            answer = await talk.ask("GET", "/text", "Origin: http://c.example")
            assert (answer.status, "access-control-allow-origin" in answer.headers) == (200, False)
            answer = await talk.ask(
                "OPTIONS", "/text", "Origin: http://a.example", "Access-Control-Request-Method: GET"
            )
            assert (answer.status, answer.headers["access-control-max-age"]) == (200, "5")
            assert (await talk.ask("OPTIONS", "/text", "Origin: http://c.example", *PREFLIGHT)).status == 400
            assert (await talk.ask("OPTIONS", "/text", "Origin: http://a.example", *PREFLIGHT)).status == 400

    run(test)


@pytest.mark.parametrize(
    ("cors", "allowed"),
    [
        ({"origin": "http://a.example"}, "http://a.example"),
        ({"origin": True}, "*"),
        ({"origin": "*"}, "*"),
        ({"origin": []}, None),
    ],
)
def test_ways_to_say_an_origin(listening: socket.socket, cors: Any, allowed: str | None) -> None:
    async def test() -> None:
        async with serving(listening, cors=cors, routes=route_table()), talking(listening) as talk:
            answer = await talk.ask("GET", "/text", "Origin: http://a.example")
            assert answer.headers.get("access-control-allow-origin") == allowed

    run(test)


def test_draining_closes_every_kind_of_response(listening: socket.socket) -> None:
    async def test() -> None:
        asks: list[tuple[str, ...]] = [("GET", "/text"), ("GET", "/none"), ("POST", "/rpc")]
        asks.append(("OPTIONS", "/rpc", "Origin: http://a.example", *PREFLIGHT))
        async with serving(listening, cors=True, routes=route_table()) as server:
            talks = []
            for _ in asks:
                talk = Talk(*await asyncio.open_connection(*listening.getsockname()))
                assert "connection" not in (await talk.ask("GET", "/text")).headers
                talks.append(talk)
            draining = asyncio.create_task(server.drain(time.monotonic() + 5))
            await asyncio.sleep(0.01)
            for talk, (method, path, *headers) in zip(talks, asks, strict=True):
                assert (await talk.ask(method, path, *headers, body=b"")).headers["connection"] == "close"
                assert await talk.rest() == b""
                talk.writer.close()
            await draining

    run(test)


# What is counted


def test_every_request_is_observed_by_its_route(listening: socket.socket) -> None:
    seen: list[tuple[str, str, int]] = []

    def observe(method: str, route: str, status: int, seconds: float) -> None:
        assert 0 <= seconds < 5
        seen.append((method, route, status))

    async def slow(request: Request) -> None:
        await asyncio.sleep(5)

    routes = [*route_table(), ("GET", "/slow", slow)]

    async def test() -> None:
        async with serving(listening, routes=routes, observe=observe, request_s=0.1), talking(listening) as talk:
            for method, path in (("GET", "/orders/1/a"), ("GET", "/secret"), ("GET", "/rpc"), ("PATCH", "/text")):
                await talk.ask(method, path)
            await talk.call("echo")
            await talk.call("known")
            await talk.ask("GET", "/slow")

    run(test)
    assert seen == [
        ("GET", "/orders/{id:int}/{name}", 200),
        ("GET", "other", 404),
        ("GET", "/rpc", 405),
        ("PATCH", "/text", 405),
        ("POST", "/rpc", 200),
        ("POST", "/rpc", 401),
        ("GET", "/slow", 504),
    ]


def test_memory_does_not_grow_with_requests(listening: socket.socket) -> None:
    async def test() -> None:
        async with serving(listening, cors=True, routes=route_table()), talking(listening) as talk:

            async def load(count: int) -> int:
                for number in range(count):
                    await talk.ask("GET", "/text" if number % 2 else f"/{number}" + "x" * 500)
                    if number % 10 == 0:
                        await talk.call("echo", "x" * 10_000)
                gc.collect()
                return memory()

            before = await load(200)
            assert await load(1500) - before < 5 << 20

    run(test)
