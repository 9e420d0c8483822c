"""Questions on the watcher's socket, by clients that behave and others."""

from __future__ import annotations

import asyncio
import select
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from omnitron.errors import OmnitronError
from omnitron.operations.watcher_client import ask
from omnitron.watcher import http_server
from omnitron.watcher.http_server import HttpServer


async def _answer() -> tuple[str, bytes]:
    return "application/json", b'{"x": 1}'


def serving(folder: Path, test: Callable[[Path], object]) -> object:
    async def run() -> object:
        path = folder / "watcher.sock"
        server = await HttpServer(lambda _: {"/x.json": _answer}).open_socket(path)
        assert server is not None
        async with server:
            return await asyncio.to_thread(test, path)

    return asyncio.run(run())


def said(path: Path, request: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(str(path))
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        parts = []
        while part := client.recv(4096):
            parts.append(part)
        return b"".join(parts)


def test_a_question(tmp_path: Path) -> None:
    assert serving(tmp_path, lambda path: ask(path.parent, "/x.json", is_user=False)) == {"x": 1}


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /x.json?a=b HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 200 OK"),
        (b"GET /nothing HTTP/1.1\r\n\r\n", b"HTTP/1.1 404 Not Found"),
        (b"POST /x.json HTTP/1.1\r\n\r\n", b"HTTP/1.1 405 Method Not Allowed"),
        (b"\xff\xfe\r\n\r\n", b"HTTP/1.1 405 Method Not Allowed"),
        (b"half", b""),
        (b"x" * 100_000, b""),
        (b"", b""),
    ],
)
def test_whatever_is_asked(tmp_path: Path, request_: bytes, status: bytes) -> None:
    def test(path: Path) -> bytes:
        try:
            first = said(path, request_)
        except (BrokenPipeError, ConnectionResetError):
            first = b""
        assert ask(path.parent, "/x.json", is_user=False) == {"x": 1}
        return first.split(b"\r\n", 1)[0]

    assert serving(tmp_path, test) == status


def test_who_does_not_ask_is_sent_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "PATIENCE_S", 0.2)

    def test(path: Path) -> bytes:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(str(path))
            return client.recv(1)

    assert serving(tmp_path, test) == b""


def test_who_asks_and_does_not_listen_is_sent_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large answers that nobody reads hold neither a descriptor nor memory."""
    monkeypatch.setattr(http_server, "PATIENCE_S", 0.3)

    async def large() -> tuple[str, bytes]:
        return "text/plain", b"x" * 20_000_000

    async def run() -> None:
        path = tmp_path / "watcher.sock"
        server = await HttpServer(lambda _: {"/x": large}).open_socket(path)
        assert server is not None
        async with server:
            clients = []
            for _ in range(10):
                client = socket.socket(socket.AF_UNIX)
                client.setblocking(False)
                await asyncio.get_running_loop().sock_connect(client, str(path))
                client.sendall(b"GET /x HTTP/1.1\r\n\r\n")
                clients.append(client)
            hung_up = select.poll()
            for client in clients:
                hung_up.register(client, select.POLLRDHUP)
            async with asyncio.timeout(60):
                while len(hung_up.poll(0)) < len(clients):
                    await asyncio.sleep(0.01)
            for client in clients:
                # BlockingIOError where the other end is still open.
                while client.recv(1 << 20):
                    pass
                client.close()

    asyncio.run(run())


def test_idle_connections_keep_nobody_from_asking(tmp_path: Path) -> None:
    def test(path: Path) -> object:
        idle = [socket.socket(socket.AF_UNIX) for _ in range(60)]
        for one in idle:
            one.connect(str(path))
        try:
            return ask(path.parent, "/x.json", is_user=False)
        finally:
            for one in idle:
                one.close()

    assert serving(tmp_path, test) == {"x": 1}


def test_there_is_an_end_to_connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "MOST_CONNECTIONS", 3)

    def test(path: Path) -> bytes:
        held = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        for one in held:
            one.connect(str(path))
        with socket.socket(socket.AF_UNIX) as late:
            late.settimeout(2)
            late.connect(str(path))
            first = late.recv(1)
        for one in held:
            one.close()
        deadline = time.monotonic() + 20
        while not said(path, b"GET /x.json HTTP/1.1\r\n\r\n"):
            assert time.monotonic() < deadline
        return first

    assert serving(tmp_path, test) == b""


def test_a_socket_left_behind_is_replaced_and_a_file_is_not(tmp_path: Path) -> None:
    path = tmp_path / "watcher.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    assert serving(tmp_path, lambda path: ask(path.parent, "/x.json", is_user=False)) == {"x": 1}
    path.unlink(missing_ok=True)
    path.write_text("mine")
    assert asyncio.run(HttpServer(lambda _: {}).open_socket(path)) is None
    assert path.read_text() == "mine"


def test_no_watcher_is_an_error_with_a_cure(tmp_path: Path) -> None:
    with pytest.raises(OmnitronError) as caught:
        ask(tmp_path, "/x.json", is_user=False)
    assert caught.value.lines()[1] == "does it run? systemctl status omnitron-watcher"
