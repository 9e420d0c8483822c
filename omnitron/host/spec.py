"""The specification of one process: the file that `generate` writes for it, and the host reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from omnitron.errors import OmnitronError

VERSION = 1
"""The newest format that is understood."""


class _Part(msgspec.Struct, rename="camel"):
    """A part of the file; keys are in camel case there, times in milliseconds."""


class Hooks(_Part):
    """Functions, as `file.py:function` or `package.module:function`."""

    before_create: str | None = None
    after_create: str | None = None
    before_start: str | None = None
    after_start: str | None = None
    before_stop: str | None = None
    after_stop: str | None = None
    on_health_check: str | None = None


class Health(_Part):
    """The schedule of the process's own health checks."""

    enabled: bool = True
    interval: int = 15_000
    timeout: int = 5_000
    retries: int = 3


class Listener(_Part):
    """An address to listen on where systemd holds no socket for it."""

    host: str
    port: int


class Http(Listener):
    """The HTTP transport."""

    cors: Any = True
    request_timeout: int = 120_000
    keep_alive_timeout: int = 65_000
    headers_timeout: int = 60_000
    max_request_size: int = 10 << 20
    """Bytes of a request's body."""
    app_version: str | None = None


class WebSocket(Listener):
    """The WebSocket transport."""

    path: str = "/ws"
    ping_interval: int | None = 20_000
    ping_timeout: int | None = 20_000


class Route(_Part):
    """An HTTP route beside the services."""

    method: str
    pattern: str
    handler: str


class Jwt(_Part):
    """The check of tokens. The key is a file: a path, or `$CREDENTIALS_DIRECTORY/NAME` as `credential`."""

    token_cache_ttl: float = 60
    """Seconds."""
    key_file: str | None = None
    credential: str | None = None
    algorithm: str | None = None
    issuer: str | None = None
    audience: str | None = None
    roles_claim: str = "roles"


class Auth(_Part):
    """The app's own functions around a call, as `file.py:function`."""

    manager: str | None = None
    rls: str | None = None
    invocation_wrapper: str | None = None


class Tracing(_Part):
    """The tracing of calls."""

    sampler: str | None = None
    """The sampler of traces: a name as in OTEL_TRACES_SAMPLER, with `:ratio` where it has one."""
    propagator: Literal["w3c", "jaeger"] = "w3c"


class Source(_Part):
    """One source of configuration."""

    type: Literal["file", "env"]
    path: str | None = None
    prefix: str | None = None
    optional: bool = False


class Spec(_Part):
    """One process of a bootstrap app."""

    version: int
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
    hooks: Hooks = msgspec.field(default_factory=Hooks)
    health: Health = msgspec.field(default_factory=Health)
    http: Http | None = None
    websocket: WebSocket | None = None
    routes: tuple[Route, ...] = ()
    jwt: Jwt | None = None
    auth: Auth = msgspec.field(default_factory=Auth)
    expose: bool = False
    access: dict[str, str] = {}
    """Socket path of each service that the process may call; `%t` is the runtime directory."""
    callers: tuple[str, ...] = ()
    """Users who may call over the exposed socket, beside root and its own."""
    sources: tuple[Source, ...] = ()
    env_prefix: str | None = None
    secrets: dict[str, str] = {}
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


class SpecError(OmnitronError):
    """A file that does not describe a process to run."""


def read(path: Path) -> Spec:
    """Read the file at `path`; raises SpecError for one that is missing, damaged or too new."""
    try:
        data = path.read_bytes()
        data.decode()  # msgspec's releases report what is no text in different ways
        if msgspec.json.decode(data, type=_Version).version > VERSION:
            raise SpecError(f"cannot use {path}: a newer omnitron wrote it", hint="generate again, or update this one")
        return msgspec.json.decode(data, type=Spec)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
    except UnicodeDecodeError:
        why = "it is no UTF-8 text"
    except msgspec.ValidationError as error:
        why = f"it has not the keys and values that are expected: {error}"
    except msgspec.DecodeError:
        why = "it is no JSON, or cut off"
    raise SpecError(f"cannot read {path}: {why}", hint="`omnitron generate` writes it again")


class _Version(msgspec.Struct):
    version: int
