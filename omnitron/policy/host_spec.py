"""The specification of one process for the process host: the file that `generate` writes for it.

The planner and the host share these types. Times are in milliseconds where nothing else is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from omnitron.policy.codec import Document


@dataclass(frozen=True)
class Hooks:
    """Functions, as `file.py:function` or `package.module:function`."""

    before_create: str | None = None
    after_create: str | None = None
    before_start: str | None = None
    after_start: str | None = None
    before_stop: str | None = None
    after_stop: str | None = None
    on_health_check: str | None = None


@dataclass(frozen=True)
class Health:
    """The schedule of the health checks that the process runs itself."""

    enabled: bool = True
    interval: int = 15_000
    timeout: int = 5_000
    retries: int = 3
    start_period: int = 0


@dataclass(frozen=True)
class Listener:
    """An address to listen on where systemd holds no socket for it."""

    host: str
    port: int


@dataclass(frozen=True)
class Http(Listener):
    """The HTTP transport."""

    cors: Any = True
    request_timeout: int = 120_000
    keep_alive_timeout: int = 65_000
    headers_timeout: int = 60_000
    max_request_size: int = 10 << 20
    """Bytes of a request's body."""
    app_version: str | None = None


@dataclass(frozen=True)
class WebSocket(Listener):
    """The WebSocket transport."""

    path: str = "/ws"
    ping_interval: int | None = 20_000
    ping_timeout: int | None = 20_000


@dataclass(frozen=True)
class Route:
    """An HTTP route beside the services."""

    method: str
    pattern: str
    handler: str


@dataclass(frozen=True)
class Jwt:
    """The check of tokens. The key is a file: a path, or `$CREDENTIALS_DIRECTORY/NAME` as `credential`."""

    token_cache_ttl: float = 60
    """Seconds."""
    key_file: str | None = None
    credential: str | None = None
    algorithm: str | None = None
    issuer: str | None = None
    audience: str | None = None
    roles_claim: str = "roles"


@dataclass(frozen=True)
class Auth:
    """The app's own functions around a call, as `file.py:function`."""

    manager: str | None = None
    rls: str | None = None
    invocation_wrapper: str | None = None


@dataclass(frozen=True)
class Tracing:
    """The tracing of calls."""

    sampler: str | None = None
    """The sampler of traces: a name as in OTEL_TRACES_SAMPLER, with `:ratio` where it has one."""
    propagator: Literal["w3c", "jaeger"] = "w3c"


@dataclass(frozen=True)
class Source:
    """One source of configuration."""

    type: Literal["file", "env"]
    path: str | None = None
    prefix: str | None = None
    optional: bool = False


@dataclass(frozen=True)
class HostSpec(Document):
    """One process of a bootstrap app."""

    VERSION: ClassVar[int] = 1

    project: str
    stack: str
    app: str
    process: str
    folder: str
    """The app's folder: the start of relative paths."""
    folders: tuple[str, ...]
    """The folders in which modules are searched."""
    module: str
    identifier: str = "omnitron"
    """Its name in the journal."""
    app_version: str | None = None
    hooks: Hooks = field(default_factory=Hooks)
    health: Health = field(default_factory=Health)
    http: Http | None = None
    websocket: WebSocket | None = None
    routes: tuple[Route, ...] = ()
    jwt: Jwt | None = None
    auth: Auth = field(default_factory=Auth)
    expose: bool = False
    access: Mapping[str, str] = field(default_factory=dict)
    """Socket path of each service that the process may call; `%t` is the runtime directory."""
    callers: tuple[str, ...] = ()
    """Users who may call over the exposed socket, beside root and its own."""
    sources: tuple[Source, ...] = ()
    env_prefix: str | None = None
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Variables that refer to secrets; systemd hands over what those are."""
    log_level: str = "info"
    log_format: Literal["journal", "json", "text"] | None = None
    metrics: bool = True
    statsd: int | None = None
    """Milliseconds between two rounds of StatsD packets; None for none."""
    tracing: Tracing | None = None
    startup_timeout: int = 30_000
    stop_timeout: int = 10_000
    drain: bool = True
