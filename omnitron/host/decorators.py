"""What modules are written with: marks on classes and parameters, read by the host that loads the module.

A mark is an attribute of what it is put on. There is no registry: two processes, or two hosts in one
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

    `@service` takes the name of the class, `@service("Name")` another.
    """
    said = name.__name__ if isinstance(name, type) else name
    # JSON-RPC keeps methods that begin with `rpc.` for itself.
    if not isinstance(said, str) or not said or "." in said or said == "rpc":
        raise TypeError(f"cannot name a service {said!r}: a name is text without dots, and not 'rpc'")

    def mark(cls: C) -> C:
        if not isinstance(cls, type):
            raise TypeError(f"cannot make {cls!r} the service {said!r}: it is no class")
        setattr(cls, MARK, said)
        return cls

    return mark(name) if isinstance(name, type) else mark


def topology(service: str) -> Topology:
    """Ask for a proxy: `prices: Annotated[Prices, topology("Prices")]` in a constructor."""
    return Topology(service)


def name_of(value: object) -> str | None:
    """Return the name that a class was marked with, None for anything else; a base class's mark is not its own."""
    return vars(value).get(MARK) if isinstance(value, type) else None
