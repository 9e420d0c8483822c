from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Protocol

import msgspec
import pytest

from omnitron.host.decorators import service
from omnitron.host.rpc import errors
from omnitron.host.rpc.client import Client
from omnitron.host.rpc.dispatch import Dispatcher
from omnitron.host.rpc.errors import RpcError
from omnitron.host.rpc.methods import table
from omnitron.host.rpc.proxy import Missing, Proxy
from omnitron.host.transports.sockets import listen_unix
from omnitron.host.transports.unix import UnixServer


class Price(msgspec.Struct):
    fruit: str
    cents: int


@service
class Prices:
    async def of(self, fruit: str, count: int = 1) -> Any:
        return {"fruit": fruit, "cents": 30 * count}

    async def all(self) -> Any:
        return [{"fruit": "pear", "cents": 3}]

    async def forget(self) -> None:
        return None

    async def nap(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Described(Protocol):
    """What a module may say that a service of another process looks like."""

    async def of(self, fruit: str, count: int = 1) -> Price: ...
    async def all(self) -> list[Price]: ...

    async def forget(self) -> None: ...
    async def nap(self, seconds: float): ...  # type: ignore[no-untyped-def]


class Wrong(Protocol):
    async def of(self, fruit: str) -> list[int]: ...
    async def short(self, fruit: str) -> Annotated[str, msgspec.Meta(max_length=1)]: ...


def run(path: Path, test: Callable[[Client], Awaitable[None]]) -> None:
    async def main() -> None:
        with listen_unix(path) as listening:
            server = UnixServer(Dispatcher(table({"Prices": Prices()})), listening, may_call=lambda uid: True)
            server.start()
            client = Client(str(path))
            async with asyncio.timeout(10):
                await test(client)
            client.close()
            await server.drain(1)

    asyncio.run(main())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "prices"


def test_attributes_are_methods(path: Path) -> None:
    async def test(client: Client) -> None:
        prices = Proxy(client, "Prices")
        assert await prices.of("apple") == {"fruit": "apple", "cents": 30}
        assert await prices.of("apple", 2) == {"fruit": "apple", "cents": 60}
        assert await prices.of(fruit="apple", count=3) == {"fruit": "apple", "cents": 90}
        assert await prices.all() == [{"fruit": "pear", "cents": 3}]
        assert await prices.forget() is None
        assert prices.of is prices.of
        assert repr(prices) == f"<proxy for Prices at {path}>"

    run(path, test)


def test_results_are_what_the_interface_says(path: Path) -> None:
    async def test(client: Client) -> None:
        prices = Proxy(client, "Prices", Described)
        assert await prices.of("apple") == Price("apple", 30)
        assert await prices.all() == [Price("pear", 3)]
        assert await prices.forget() is None
        assert await prices.nap(0) is None

    run(path, test)


def test_a_result_that_is_something_else(path: Path) -> None:
    async def test(client: Client) -> None:
        with pytest.raises(RpcError) as caught:
            await Proxy(client, "Prices", Wrong).of("apple")
        assert caught.value.code == errors.UNAVAILABLE
        assert caught.value.message.startswith("Prices.of returned another type than its interface says: ")

    run(path, test)


def test_a_proxy_or_anything_that_is_no_class_describes_nothing(path: Path) -> None:
    async def test(client: Client) -> None:
        for interface in (Proxy, None, "Prices", Prices()):
            assert (await Proxy(client, "Prices", interface).of("apple"))["cents"] == 30

    run(path, test)


def test_errors_reach_the_caller(path: Path) -> None:
    async def test(client: Client) -> None:
        prices = Proxy(client, "Prices")
        with pytest.raises(RpcError) as caught:
            await prices.none()
        assert caught.value.code == errors.METHOD_NOT_FOUND
        with pytest.raises(RpcError) as caught:
            await prices.of(3)
        assert caught.value.code == errors.INVALID_PARAMS
        with pytest.raises(TypeError, match="give its arguments by position or by name, not both"):
            await prices.of("apple", count=3)

    run(path, test)


def test_another_deadline(path: Path) -> None:
    async def test(client: Client) -> None:
        prices = Proxy(client, "Prices", Described)
        hasty = prices.with_deadline(0.05)
        with pytest.raises(RpcError) as caught:
            await hasty.nap(5)
        assert caught.value.code == errors.DEADLINE_EXCEEDED
        assert await hasty.of("apple") == Price("apple", 30)
        await prices.nap(0.06)

    run(path, test)


def test_names_that_cannot_be_methods() -> None:
    client = Client("/nowhere")
    with pytest.raises(AttributeError, match="_private"):
        _ = Proxy(client, "Prices")._private
    with pytest.raises(AttributeError, match="Described has no method 'off'"):
        _ = Proxy(client, "Prices", Described).off
    assert not hasattr(Proxy(client, "Prices"), "__await__")


def test_a_service_that_is_not_there_says_so_when_it_is_called() -> None:
    missing = Missing("Prices", ["Stock", "Mail"])
    assert not hasattr(missing, "__await__")
    with pytest.raises(RpcError) as caught:
        missing.of("apple")
    assert caught.value.code == errors.UNAVAILABLE
    assert caught.value.message == "cannot call Prices.of: not among topology.access; there are Mail, Stock"
    with pytest.raises(RpcError, match="this process may call none"):
        Missing("Prices", []).of("apple")
