"""The ecosystem: what `omnitron.config.*` may say."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from omnitron.definition.app import LogLevel
from omnitron.definition.fields import (
    Argv,
    Duration,
    Environment,
    Model,
    Name,
    Pattern,
    Port,
    Seconds,
    Size,
    Text,
    later,
)
from omnitron.definition.infrastructure import Infrastructure, ServiceOverride
from omnitron.definition.process import Backoff, ProcessSettings, Shutdown


class Watch(Model):
    """Which files restart an app in development (`IWatchConfig`)."""

    directory: Text
    """Relative to the app's folder, or absolute."""
    include: list[Text] = []
    """More directories."""
    ignore: list[Pattern] = []
    """Patterns as in a .gitignore, added to the defaults."""
    debounce: Duration = 300
    """Time to wait for more changes."""


class AppEntry(ProcessSettings):
    """One app of the ecosystem (`IEcosystemAppEntry`). Give one of `bootstrap`, `script`, `command`."""

    name: Name
    """Unique; every command uses it."""
    bootstrap: Text | None = None
    """File that defines the app's system."""
    script: Text | None = None
    """A single program: `.py` by the app's interpreter, `.js`, `.mjs`, `.cjs`, `.ts` by node, others as they are."""
    command: Argv | None = None
    """A single program of any kind and its arguments."""
    enabled: bool = True
    """`false`: not started with its stack."""
    depends_on: list[Name] = []
    """Apps that must be healthy before this one starts."""
    cwd: Text | None = None
    """Base for relative paths; the folder of this file if omitted."""
    watch: Text | Watch | Literal[False] | None = None
    """Files that restart it in development: a directory, the details, or false."""
    shutdown: Shutdown | None = None
    """How it is asked to end; a bootstrap's own wins."""


class SshAccess(Model):
    """How a node is reached."""

    user: Text | None = None
    """User."""
    private_key: Text | None = None
    """Path of the key."""
    port: Port = 22
    """Port."""


class StackNode(Model):
    """A host of a stack (`IStackNode`)."""

    host: Text
    """Name or address."""
    port: Port = 9700
    """Port of omnitron there."""
    role: Literal["app", "database", "cache", "gateway", "worker", "master"]
    """What it is for."""
    apps: list[Name] | Literal["all"] = "all"
    """Which apps run there."""
    ssh: SshAccess | None = None
    """How it is reached."""
    label: Text | None = None
    """For people."""


class PortOffsets(Model):
    """Added to the base ports of a stack's services; where one of them is given, it is 0 for those that are not."""

    postgres: Annotated[int, Field(ge=0, le=60_000)] = 0
    """PostgreSQL."""
    redis: Annotated[int, Field(ge=0, le=60_000)] = 0
    """Redis."""
    minio: Annotated[int, Field(ge=0, le=60_000)] = 0
    """MinIO."""
    gateway: Annotated[int, Field(ge=0, le=60_000)] = 0
    """The gateway."""
    apps: Annotated[int, Field(ge=0, le=60_000)] = 0
    """All transports of its apps, which no stack moves unless it says so here."""


class StackSettings(Model):
    """Settings of a stack (`IStackSettings`)."""

    redis_db_offset: Annotated[int, Field(ge=0)] | None = None
    """First Redis database of the stack."""
    container_prefix: Name | None = None
    """Prefix of container names; `<project>-<stack>` if omitted."""
    env: Environment = {}
    """Environment of every process of the stack."""
    log_level: LogLevel | None = None
    """Overrides `logging.level`."""
    port_offsets: PortOffsets | None = None
    """Added to the ports of its services."""
    allow_degraded_infra: bool | None = None
    """Start apps although infrastructure is not healthy."""


class PortRange(Model):
    """Ports that may be given out."""

    start: Port
    """First."""
    end: Port
    """Last."""


class Stack(Model):
    """An environment of the project (`IStackConfig`)."""

    type: Literal["local", "remote", "cluster"]
    """One host, one other host, or several."""
    watch: bool | None = None
    """Restart apps when their files change; true for dev if omitted."""
    nodes: list[StackNode] = later(list)
    """Hosts of a remote or cluster stack."""
    infrastructure: Infrastructure | None = None
    """Overrides the ecosystem's."""
    settings: StackSettings = StackSettings()
    """Environment, log level and offsets."""
    apps: list[Name] | Literal["all"] = "all"
    """Which apps run in it."""
    port_range: PortRange | None = None
    """Ports to give out."""
    service_overrides: dict[Text, ServiceOverride] = {}
    """Changes to services, by `service` or `app/service`."""


class Tls(Model):
    """A certificate; both files are PEM, and read by systemd, so that the gateway's user need not be able to."""

    certificate: Text
    """File with the certificate, and those between it and the root."""
    key: Text
    """File with its key."""


class RateLimit(Model):
    """How much one client may ask. What is beyond that is answered with 429."""

    rate: Annotated[int, Field(ge=1, le=1_000_000)]
    """Requests per second for each IP address."""
    burst: Annotated[int, Field(ge=0, le=10_000_000)] | None = None
    """Requests that may come at once; twice the rate if omitted."""


class Maintenance(Model):
    """What is answered while `omnitron maintenance on` holds: 503."""

    page: Text | None = None
    """HTML file that is shown; `maintenance.html` of `configDir` if it is there and this is omitted."""
    allow: list[Text] = []
    """IP addresses and networks that are served as ever."""
    retry_after: Seconds = 60
    """`Retry-After`, in seconds."""


class Gateway(Model):
    """The reverse proxy in front of a stack: `/api/APP/` and `/ws/APP/` of every app with such a transport."""

    port: Port = 8080
    """Port."""
    host: Text = "0.0.0.0"
    """IP address to listen on."""
    user: Text = "www-data"
    """Its user."""
    config_dir: Text | None = None
    """The project's own files: `http/*.conf` and `server/*.conf` are included there, `lua/` is where modules are."""
    image: Text = "openresty/openresty:alpine"
    """Image, in a container: where it is said, or the host has no nginx."""
    tls: Tls | None = None
    """Serve HTTPS with this certificate."""
    rate_limit: RateLimit | None = None
    """Bound on what one client may ask; none if omitted."""
    max_body_size: Size = 10 << 20
    """Largest body of a request."""
    cors: bool | list[Text] = False
    """Origins that browsers may call from, `true` for all; the apps decide if false."""
    access_log: bool = False
    """Whether each request is a line of the journal."""
    maintenance: Maintenance = Maintenance()
    """What is answered in maintenance."""


class Supervision(Model):
    """Who restarts when something crashes, and how often."""

    strategy: Literal["one_for_one", "one_for_all", "rest_for_one"] = "one_for_one"
    """Who restarts: the crashed process, every app of the stack, or the crashed app and the later ones."""
    max_restarts: Annotated[int, Field(ge=0, le=1_000_000)] = 5
    """Restarts inside the window; one more crash is final."""
    window: Duration = 60_000
    """Length of the sliding window."""
    backoff: Backoff = Backoff()
    """Delay before each restart."""


class HealthCheck(Model):
    """How often health is checked."""

    interval: Duration = 15_000
    """Time between checks."""
    timeout: Duration = 5_000
    """Deadline of one."""


class Prometheus(Model):
    """A TCP port on which Prometheus reads the figures of this project. The token crosses the network as it is."""

    port: Port
    """Port."""
    host: Text = "127.0.0.1"
    """IP address to listen on."""
    token_file: Text
    """File with the bearer token, for nobody else to read; read anew for each request."""


class Metrics(Model):
    """How often figures are taken and how long they are kept."""

    interval: Duration = 5_000
    """Time between samples."""
    retention: Seconds = 3600
    """Seconds that are kept."""
    prometheus: Prometheus | None = None
    """A TCP port for Prometheus; without it there is the watcher's socket alone."""


class Monitoring(Model):
    """Health and metrics."""

    health_check: HealthCheck = HealthCheck()
    """Health."""
    metrics: Metrics = Metrics()
    """Metrics."""


class Logging(Model):
    """What of the logs is kept, and how much."""

    level: LogLevel = "info"
    """Least severe level that is kept."""
    journal: Literal["host", "namespace"] | None = None
    """`namespace` gives each stack a journal of its own; so does any of the three below."""
    max_size: Size = 50 << 20
    """Size of one journal file."""
    max_files: Annotated[int, Field(ge=1, le=10_000)] = 10
    """Files that are kept."""
    compress: bool = True
    """Compress what is large."""


class EcosystemConfig(Model):
    """The whole project (`IEcosystemConfig`): what `define_ecosystem` takes, and `omnitron.config.*` holds."""

    project: Name
    """Name of the project."""
    apps: list[AppEntry]
    """The apps, in the order in which they start."""
    stacks: dict[Name, Stack] = {"dev": Stack(type="local")}
    """Environments by name; one local `dev` if omitted."""
    infrastructure: Infrastructure | None = None
    """Services that apps share."""
    gateway: Gateway | None = None
    """Reverse proxy of each stack."""
    supervision: Supervision = Supervision()
    """Restart policy."""
    monitoring: Monitoring = Monitoring()
    """Health and metrics."""
    logging: Logging = Logging()
    """Logs."""
    unit_prefix: Name = "omnitron"
    """First part of every unit's name; differs where two projects have equal stacks on one host.
    None that the distribution's own units have: its folders below `/var/lib` and `/run` go by it, too.
    """
