"""The rules that `define_system` checks at once, before any model is built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from omnitron.errors import OmnitronError

if TYPE_CHECKING:
    from omnitron.definition.source import KeyPath


class DefineSystemError(OmnitronError):
    """A call of `define_system` that cannot be a system."""

    exit_code = 3


def broken_rules(definition: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Yield each broken rule as the key path that breaks it and what is wrong with it."""
    if not isinstance(definition.get("name"), str) or not definition["name"]:
        yield ("name",), "System name must be a non-empty string"
    processes = definition.get("processes")
    if not isinstance(processes, list | tuple) or not processes:
        yield ("processes",), "At least one process must be defined"
        return
    mappings = [(index, item) for index, item in enumerate(processes) if isinstance(item, Mapping)]
    yield from _names_and_modules(mappings)
    for index, process in mappings:
        yield from _ports(index, process)


def _names_and_modules(processes: list[tuple[int, Mapping[str, Any]]]) -> Iterator[tuple[KeyPath, str]]:
    seen: set[str] = set()
    for index, process in processes:
        name = process.get("name")
        if not isinstance(name, str) or not name:
            yield ("processes", index), "Every process must have a name"
            continue
        if not process.get("module") and not process.get("command"):
            yield ("processes", index), f"Process {name} must have a module path"
        if name in seen:
            yield ("processes", index, "name"), f"Duplicate process name {name}"
        seen.add(name)


def _ports(index: int, process: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    transports = process.get("transports")
    if not isinstance(transports, Mapping):
        return
    for kind, title in (("http", "HTTP"), ("websocket", "WebSocket")):
        transport = transports.get(kind)
        if not isinstance(transport, Mapping) or transport.get("port") is None:
            continue
        port = transport["port"]
        if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65535:
            message = f"Process {process.get('name')} has invalid {title} port {port}"
            yield ("processes", index, "transports", kind, "port"), message
