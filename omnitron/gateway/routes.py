"""The routes of a stack's gateway. Pure: from a definition and its resolved processes to values for a template."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from omnitron.definition.ecosystem import Gateway
from omnitron.definition.paths import absolute
from omnitron.definition.project import Ecosystem
from omnitron.infra.providers import Provider

SAYABLE = re.compile(r"[^\x00-\x20\x7f\"'\\;{}$#]+")
"""Text that needs no quotes in nginx's configuration."""
HIGHEST = 65_535
PAGE = "<!doctype html><title>Maintenance</title><h1>Down for maintenance</h1><p>Please try again in a while.</p>"
"""The page in maintenance mode, unless the project has its own."""
WEB_PATH = re.compile(r"/[A-Za-z0-9._~/-]*")
ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?")


@dataclass(frozen=True)
class Upstream:
    """One process that the gateway passes requests to."""

    name: str
    """Its name for the project's own files: `app_process_http`."""
    address: str
    """`host:port`."""


@dataclass(frozen=True)
class Route:
    """A route to an app."""

    app: str
    upstream: str
    path: str | None = None
    """The path of the app's WebSocket; None for HTTP."""


@dataclass(frozen=True)
class Redis:
    """The Redis that stores the maintenance mode."""

    host: str
    port: int
    database: int
    credential: str | None
    """The name of the secret with its password."""


@dataclass(frozen=True)
class Site:
    """The gateway of a stack."""

    gateway: Gateway
    provider: Provider
    port: int
    """The port in this stack, with the offset of the stack."""
    upstreams: tuple[Upstream, ...]
    http: tuple[Route, ...]
    websocket: tuple[Route, ...]
    redis: Redis | None
    """None for a stack without Redis, which has no maintenance mode."""
    folder: Path | None
    """The folder of the project's own configuration files."""
    page: Path | None
    """The page in maintenance mode; None for ours."""
    certificate: Path | None
    key: Path | None
    lua: Path
    """The folder of the gateway's own Lua."""

    @property
    def contained(self) -> bool:
        """Return whether it runs in a container."""
        return self.provider.name == "docker"

    @property
    def listen(self) -> str:
        """The address that it listens on."""
        host = self.gateway.host
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    @property
    def bursting(self) -> str:
        """The parameters of `limit_req` for bursts; empty without bursts."""
        limit = self.gateway.rate_limit
        burst = (2 * limit.rate if limit.burst is None else limit.burst) if limit else 0
        return f" burst={burst} nodelay" if burst else ""


def default_page(ecosystem: Ecosystem) -> Path | None:
    """Return the path at which the maintenance page may be where the definition names none; None where it does."""
    gateway = ecosystem.gateway or Gateway()
    if gateway.maintenance.page or not gateway.config_dir:
        return None
    return absolute(ecosystem.folder, gateway.config_dir) / "maintenance.html"


def files(ecosystem: Ecosystem, page: Path | None) -> tuple[Path | None, Path | None, Path | None, Path | None]:
    """Return the paths of a gateway: its folder, page (`page` where the definition names none), certificate and key."""
    gateway = ecosystem.gateway or Gateway()
    folder = absolute(ecosystem.folder, gateway.config_dir) if gateway.config_dir else None
    if gateway.maintenance.page:
        page = absolute(ecosystem.folder, gateway.maintenance.page)
    tls = gateway.tls
    if tls is None:
        return folder, page, None, None
    return folder, page, absolute(ecosystem.folder, tls.certificate), absolute(ecosystem.folder, tls.key)


def problems(site: Site, missing: Collection[Path]) -> Iterator[tuple[tuple[str | int, ...], str, str | None]]:
    """Yield the problems of a gateway: the key below `gateway`, a message, and a hint; `missing` paths do not exist."""
    gateway = site.gateway
    if site.port > HIGHEST:
        yield ("port",), f"cannot listen on port {site.port}, the stack's offset included: the last is {HIGHEST}", None
    if not _is_network(gateway.host) or "/" in gateway.host:
        yield ("host",), f"cannot listen on {gateway.host!r}: it is not an IP address", None
    for index, network in enumerate(gateway.maintenance.allow):
        if not _is_network(network):
            message = f"cannot allow {network!r}: it is not an IP address or network, such as 10.0.0.0/8"
            yield ("maintenance", "allow", index), message, None
    for index, origin in enumerate(gateway.cors if isinstance(gateway.cors, list) else []):
        if not ORIGIN.fullmatch(origin):
            yield ("cors", index), f"cannot allow {origin!r}: an origin reads https://example.org", None
    places = {
        ("configDir",): site.folder,
        ("maintenance", "page"): site.page,
        ("tls", "certificate"): site.certificate,
        ("tls", "key"): site.key,
    }
    for at, path in places.items():
        if path is not None and not SAYABLE.fullmatch(str(path)):
            yield at, f"cannot use {str(path)!r}: nginx does not accept such characters in a path", "rename it"
        elif path in missing:
            yield at, f"cannot find {path}", None
    for route in site.websocket:
        if not WEB_PATH.fullmatch(route.path or "/"):
            yield (
                (),
                f"cannot pass on to {route.app}: its WebSocket path {route.path!r} is not a plain path",
                None,
            )
    for upstream in site.upstreams:
        if not SAYABLE.fullmatch(upstream.address):
            yield (), f"cannot pass on to {upstream.address!r}: it is not an address", None


def _is_network(text: str) -> bool:
    if "%" in text:
        return False  # the scope of an address may be any text
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True
