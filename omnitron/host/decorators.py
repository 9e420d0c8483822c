"""Decorators for an app's modules: marks on classes and parameters, read by the host that loads the module.

A mark is an attribute of the class or parameter. There is no registry: two processes, or two hosts in one
test, share nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar, overload

MARK = "__omnitron_service__"

C = TypeVar("C", bound=type)


@dataclass(frozen=True)
class Topology:
    """Marks a constructor's parameter as a proxy for a service of another process."""

    service: str


@overload
def service(name: C, /) -> C: ...
@overload
def service(name: str, /) -> Any: ...
def service(name: Any, /) -> Any:
    """Mark a class as a service: its public async methods can be called from outside, as `NAME.method`.

    `@service` uses the name of the class, `@service("Name")` the given name.
    """
    service_name = name.__name__ if isinstance(name, type) else name
    # JSON-RPC reserves methods that begin with `rpc.`.
    if not isinstance(service_name, str) or not service_name or "." in service_name or service_name == "rpc":
        raise TypeError(f"cannot name a service {service_name!r}: a name is text without dots, and not 'rpc'")

    def mark(cls: C) -> C:
        if not isinstance(cls, type):
            raise TypeError(f"cannot make {cls!r} the service {service_name!r}: it is not a class")
        setattr(cls, MARK, service_name)
        return cls

    return mark(name) if isinstance(name, type) else mark


def topology(service: str) -> Topology:
    """Ask for a proxy: `prices: Annotated[Prices, topology("Prices")]` in a constructor."""
    return Topology(service)


def name_of(value: object) -> str | None:
    """Return the name that a class was marked with, else None; the mark of a base class does not count."""
    return vars(value).get(MARK) if isinstance(value, type) else None
