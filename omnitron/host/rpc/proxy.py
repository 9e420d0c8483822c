"""A service of another process, as an object: `await prices.of("apple")`."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from omnitron.host.rpc import errors
from omnitron.host.rpc.client import Client
from omnitron.host.rpc.errors import RpcError


class Proxy:
    """Each attribute is a method of the service; results are plain JSON values, or of the types in `interface`."""

    def __init__(self, client: Client, service: str, interface: Any = None, deadline_s: float | None = None) -> None:
        """Take the client of the process that has the service, and a class whose methods describe it, if any."""
        self._client = client
        self._service = service
        self._interface = interface if isinstance(interface, type) and interface is not Proxy else None
        self._deadline_s = deadline_s

    def with_deadline(self, seconds: float) -> Proxy:
        """Return the same service, called with another deadline."""
        return Proxy(self._client, self._service, self._interface, seconds)

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        if name.startswith("_"):
            raise AttributeError(name)
        method = _Method(self._client, f"{self._service}.{name}", self._described(name), self._deadline_s)
        # An attribute from now on: `__getattr__` is not called for it again.
        self.__dict__[name] = method
        return method

    def _described(self, name: str) -> Any:
        """Return the type of a method's result, Any without an interface."""
        if self._interface is None:
            return Any
        function = inspect.getattr_static(self._interface, name, None)
        if function is None:
            raise AttributeError(f"{self._interface.__name__} has no method {name!r}")
        return typing.get_type_hints(function).get("return", Any)

    def __repr__(self) -> str:
        return f"<proxy for {self._service} at {self._client.path}>"


class _Method:
    def __init__(self, client: Client, name: str, result: Any, deadline_s: float | None) -> None:
        self._client = client
        self._name = name
        self._decoder = msgspec.json.Decoder(result)
        self._deadline_s = deadline_s

    async def __call__(self, *positional: Any, **named: Any) -> Any:
        if positional and named:
            raise TypeError(f"cannot call {self._name}: give its arguments by position or by name, not both")
        result = await self._client.call(self._name, positional or named, deadline_s=self._deadline_s)
        try:
            return self._decoder.decode(result)
        except msgspec.ValidationError as error:
            raise RpcError(
                errors.UNAVAILABLE, f"{self._name} returned another type than its interface says: {error}"
            ) from None


class Missing:
    """Stands for a service that this process may not call; each call raises an error that says so."""

    def __init__(self, service: str, accessible: typing.Iterable[str]) -> None:
        """Take the requested name, and the names of the accessible services."""
        self._service = service
        self._accessible = sorted(accessible)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        there = f"there are {', '.join(self._accessible)}" if self._accessible else "this process may call none"
        raise RpcError(errors.UNAVAILABLE, f"cannot call {self._service}.{name}: not among topology.access; {there}")
