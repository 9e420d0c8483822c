"""Services that have their place: who runs each, and on which ports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from omnitron.infra.providers import Provider
from omnitron.infra.services import Service


@dataclass(frozen=True)
class ServicePlacement:
    """A service, and where it is."""

    service: Service
    provider: Provider
    host: str
    ports: Mapping[str, int]

    @property
    def name(self) -> str:
        """Its name."""
        return self.service.name

    @property
    def port(self) -> int:
        """Its first port; 0 when it has none."""
        return next(iter(self.ports.values()), 0)

    @property
    def is_waited_for(self) -> bool:
        """Return whether apps start only when it is healthy."""
        return self.service.requirement.critical and self.provider.name != "external"

    @property
    def is_ours(self) -> bool:
        """Return whether a unit of the stack runs it."""
        return self.provider.name in ("native", "docker")
