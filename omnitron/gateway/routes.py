"""What the gateway of a stack serves. Pure: a definition and its resolved processes in, values for a template out."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from omnitron.definition.ecosystem import Gateway
from omnitron.definition.paths import absolute
from omnitron.definition.project import Ecosystem
from omnitron.infra.providers import Provider

SAYABLE = re.compile(r"[^\x00-\x20\x7f\"'\\;{}$#]+")
"""What can stand in nginx's configuration as it is."""
HIGHEST = 65_535
PAGE = "<!doctype html><title>Maintenance</title><h1>Down for maintenance</h1><p>Please try again in a while.</p>"
"""What is shown in maintenance where the project has no page of its own."""
WEB_PATH = re.compile(r"/[A-Za-z0-9._~/-]*")
ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?")


@dataclass(frozen=True)
class Upstream:
    """One process that the gateway passes requests to."""

    name: str
    """As the project's own files may refer to it: `app_process_http`."""
    address: str
    """`host:port`."""


@dataclass(frozen=True)
class Route:
    """What is passed to an app."""

    app: str
    upstream: str
    path: str | None = None
    """Where the app serves its WebSocket; None for HTTP."""


@dataclass(frozen=True)
class Redis:
    """Where maintenance mode is read."""

    host: str
    port: int
    database: int
    credential: str | None
    """Secret that is its password."""


@dataclass(frozen=True)
class Site:
    """The gateway of a stack."""

    gateway: Gateway
    provider: Provider
    port: int
    """Where it listens in this stack: the offset of the stack added."""
    upstreams: tuple[Upstream, ...]
    http: tuple[Route, ...]
    websocket: tuple[Route, ...]
    redis: Redis | None
    """None for a stack without one: it has no maintenance mode."""
    folder: Path | None
    """The project's own files."""
    page: Path | None
    """What is shown in maintenance; None for our own words."""
    certificate: Path | None
    key: Path | None
    lua: Path
    """Where the gateway's own Lua is."""

    @property
    def contained(self) -> bool:
        """Whether it runs in a container."""
        return self.provider.name == "docker"

    @property
    def listen(self) -> str:
        """Where it listens."""
        host = self.gateway.host
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    @property
    def bursting(self) -> str:
        """What nginx is told of requests of one client that come at once; nothing where none may."""
        limit = self.gateway.rate_limit
        burst = (2 * limit.rate if limit.burst is None else limit.burst) if limit else 0
        return f" burst={burst} nodelay" if burst else ""


def files(ecosystem: Ecosystem) -> tuple[Path | None, Path | None, Path | None, Path | None]:
    """Return the paths that a gateway's definition names: its folder, page, certificate and key."""
    gateway = ecosystem.gateway or Gateway()
    folder = absolute(ecosystem.folder, gateway.config_dir) if gateway.config_dir else None
    page = absolute(ecosystem.folder, gateway.maintenance.page) if gateway.maintenance.page else None
    if page is None and folder and (folder / "maintenance.html").is_file():
        page = folder / "maintenance.html"
    tls = gateway.tls
    if tls is None:
        return folder, page, None, None
    return folder, page, absolute(ecosystem.folder, tls.certificate), absolute(ecosystem.folder, tls.key)


def problems(site: Site, *, checks_files: bool) -> Iterator[tuple[tuple[str | int, ...], str, str | None]]:
    """Yield what is wrong with a gateway: where below `gateway`, what, and what to do."""
    gateway = site.gateway
    if site.port > HIGHEST:
        yield ("port",), f"cannot listen on port {site.port}, the stack's offset included: the last is {HIGHEST}", None
    if not _is_network(gateway.host) or "/" in gateway.host:
        yield ("host",), f"cannot listen on {gateway.host!r}: it is no IP address", None
    for index, network in enumerate(gateway.maintenance.allow):
        if not _is_network(network):
            message = f"cannot allow {network!r}: it is no IP address or network, such as 10.0.0.0/8"
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
            yield at, f"cannot use {str(path)!r}: nginx cannot be told of a path with such characters", "rename it"
        elif path is not None and checks_files and not _may_be_there(path):
            yield at, f"cannot find {path}", None
    for route in site.websocket:
        if not WEB_PATH.fullmatch(route.path or "/"):
            yield (), f"cannot pass on to {route.app}: its WebSocket path {route.path!r} is no plain path", None
    for upstream in site.upstreams:
        if not SAYABLE.fullmatch(upstream.address):
            yield (), f"cannot pass on to {upstream.address!r}: it is no address", None


def _may_be_there(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        return True  # whoever may not look cannot tell


def _is_network(text: str) -> bool:
    if "%" in text:
        return False  # the scope of an address, in which anything may stand
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True
