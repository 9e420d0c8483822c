"""Figures on a TCP port, for whoever has the token."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import socket
import time
from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from omnitron.policy.model import StackPolicy
from omnitron.watcher.metrics import prometheus_endpoint
from omnitron.watcher.metrics.prometheus_endpoint import BadTokenFileError, PrometheusEndpoints, read_token
from tests.support.policies import policy


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def stack(folder: Path, port: int, token: str) -> StackPolicy:
    """A stack named after its folder, whose figures are on `port` for whoever has `token`."""
    folder.mkdir()
    (folder / "token").touch(mode=0o600)
    (folder / "token").write_text(f"{token}\n")
    metrics = {"metrics": {"prometheus": {"port": port, "tokenFile": str(folder / "token")}}}
    return policy(folder, {"name": "app"}, monitoring=metrics, unitPrefix=folder.name)


def asked(port: int, token: str | None, path: str = "/metrics") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token is not None else {})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


async def text(stems: Collection[str]) -> tuple[str, bytes]:
    return "text/plain", " ".join(stems).encode()


async def open_ports(ports: Collection[int]) -> None:
    """Wait until somebody listens on each."""
    for port in ports:
        async with asyncio.timeout(20):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except ConnectionRefusedError:
                    await asyncio.sleep(0.005)
                    continue
                writer.close()
                break


def serving(stacks: list[StackPolicy], test: Callable[[], None]) -> None:
    """Run `test` in a thread beside the ports that these stacks ask for."""

    async def run() -> None:
        held = PrometheusEndpoints(text)
        held.load(stacks)
        await open_ports([one.prometheus.port for one in stacks if one.prometheus])
        try:
            await asyncio.to_thread(test)
        finally:
            held.close()

    asyncio.run(run())


def test_a_token_opens_its_own_projects_figures(tmp_path: Path) -> None:
    port = free_port()
    stacks = [stack(tmp_path / "one", port, "first"), stack(tmp_path / "two", port, "second")]

    def test() -> None:
        assert asked(port, "first") == (200, "one-dev")
        assert asked(port, "second") == (200, "two-dev")
        assert asked(port, "first", "/history.json")[0] == 404
        for wrong in (None, "", "third", "firstt", "fir", "\u00e9"):
            assert asked(port, wrong)[0] == 401, wrong

    serving(stacks, test)


def test_a_new_token_counts_at_once(tmp_path: Path) -> None:
    port = free_port()

    def test() -> None:
        assert asked(port, "old")[0] == 200
        (tmp_path / "one/token").write_text("new")
        assert (asked(port, "old")[0], asked(port, "new")[0]) == (401, 200)
        (tmp_path / "one/token").chmod(0o640)
        assert asked(port, "new")[0] == 401

    serving([stack(tmp_path / "one", port, "old")], test)


def test_a_port_that_is_taken_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus_endpoint, "AGAIN_S", 0.05)
    holder = socket.create_server(("127.0.0.1", 0))
    port = holder.getsockname()[1]

    def test() -> None:
        holder.close()
        for _ in range(500):
            try:
                assert asked(port, "t")[0] == 200
                return
            except OSError:
                time.sleep(0.01)
        pytest.fail("nobody listens")

    serving([stack(tmp_path / "one", port, "t")], test)


def test_a_port_that_nobody_asks_for_any_more_is_closed(tmp_path: Path) -> None:
    port = free_port()

    async def run() -> None:
        held = PrometheusEndpoints(text)
        held.load([stack(tmp_path / "one", port, "t")])
        await open_ports([port])
        assert (await asyncio.to_thread(asked, port, "t"))[0] == 200
        held.load([])
        with pytest.raises(ConnectionRefusedError):
            while True:
                # One that was accepted in the last moment.
                with contextlib.suppress(ConnectionResetError):
                    await asyncio.to_thread(asked, port, "t")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("fifo", "not a regular file"),
        ("empty", "empty"),
        ("open", "other users can read it"),
        ("none", "no such file"),
        (".", "not a regular file"),
        ("a\0b", "null byte"),
    ],
)
def test_files_that_hold_no_token(tmp_path: Path, name: str, why: str) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    (tmp_path / "empty").touch(0o600)
    (tmp_path / "open").touch(0o644)
    with pytest.raises(BadTokenFileError, match=why):
        read_token(f"{tmp_path}/{name}")
