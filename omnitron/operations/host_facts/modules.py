"""The services that modules of processes declare, read from their text."""

from __future__ import annotations

from collections.abc import Iterable

from omnitron.definition.service_scan import find_module, services_in
from omnitron.planner.facts import Module


def services(modules: Iterable[Module]) -> dict[Module, frozenset[str] | None]:
    """Return the names of the services of each module; None where its text does not say."""
    return {module: _services(module) for module in modules}


def _services(module: Module) -> frozenset[str] | None:
    name, folders = module
    path = find_module(name, folders)
    return services_in(path, folders) if path else None
