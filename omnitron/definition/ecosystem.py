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
from omnitron.definition.process import Backoff, Defaults, ProcessSettings, Shutdown


class Watch(Model):
    """Files that restart an app in development (`IWatchConfig`)."""

    directory: Text
    """Directory whose files are watched: relative to the app's folder, or absolute."""
    include: list[Text] = []
    """Further directories to watch, beside `directory`."""
    ignore: list[Pattern] = []
    """Patterns to pass over, as in a .gitignore; they come after the defaults, such as `node_modules`."""
    debounce: Duration = 300
    """Quiet time after the last change before the restart, in milliseconds or as `"300ms"`."""


class AppEntry(ProcessSettings):
    """One app of the ecosystem (`IEcosystemAppEntry`). Give one of `bootstrap`, `script`, `command`."""

    name: Name
    """Name of the app, unique in the project; units and commands are called by it."""
    bootstrap: Text | None = None
    """File that defines the processes of the app, such as `apps/api/bootstrap.yaml`."""
    script: Text | None = None
    """A single program: `.py` by the app's interpreter, `.js`, `.mjs`, `.cjs`, `.ts` by node, others as they are."""
    command: Argv | None = None
    """A single program of any kind and its arguments."""
    enabled: bool = True
    """True if it starts with its stack; with `false` only `omnitron start APP` starts it."""
    depends_on: list[Name] = []
    """Apps that must be healthy before this one starts."""
    cwd: Text | None = None
    """Base for relative paths; the folder of this file if omitted."""
    watch: Text | Watch | Literal[False] | None = None
    """Files that restart it in development: a directory, the details, or false."""
    shutdown: Shutdown | None = None
    """Time and order of its end; the `shutdown` of its bootstrap wins."""


class SshAccess(Model):
    """The connection to a node."""

    user: Text | None = None
    """Account to log in as on the node."""
    private_key: Text | None = None
    """Path of the private key to log in with."""
    port: Port = 22
    """TCP port of the SSH server there."""


class StackNode(Model):
    """A host of a stack (`IStackNode`)."""

    host: Text
    """Host name or IP address of the node."""
    port: Port = 9700
    """TCP port on which omnitron listens there."""
    role: Literal["app", "database", "cache", "gateway", "worker", "master"]
    """Part that the node plays in the stack, such as `app` or `database`."""
    apps: list[Name] | Literal["all"] = "all"
    """Names of the apps that run there, or `"all"`."""
    ssh: SshAccess | None = None
    """Account, key and port to reach it over SSH."""
    label: Text | None = None
    """Text to show to people in place of the host's name."""


class PortOffsets(Model):
    """Added to the base ports of a stack's services; where one of them is given, it is 0 for those that are not."""

    postgres: Annotated[int, Field(ge=0, le=60_000)] = 0
    """Number that is added to the port of PostgreSQL, 5432."""
    redis: Annotated[int, Field(ge=0, le=60_000)] = 0
    """Number that is added to the port of Redis, 6379."""
    minio: Annotated[int, Field(ge=0, le=60_000)] = 0
    """Number that is added to both ports of MinIO, 9000 and 9001."""
    gateway: Annotated[int, Field(ge=0, le=60_000)] = 0
    """Number that is added to the port of the gateway."""
    apps: Annotated[int, Field(ge=0, le=60_000)] = 0
    """All transports of its apps, which no stack moves unless it says so here."""


class StackSettings(Model):
    """Settings of a stack (`IStackSettings`)."""

    redis_db_offset: Annotated[int, Field(ge=0)] | None = None
    """First Redis database of the stack, from 0; 0 for dev, 5, 10, 15 for test, staging, prod if omitted."""
    container_prefix: Name | None = None
    """Prefix of container names; `<project>-<stack>` if omitted."""
    env: Environment = {}
    """Environment of every process of the stack."""
    log_level: LogLevel | None = None
    """Least severe level of this stack's logs; overrides `logging.level`."""
    port_offsets: PortOffsets | None = None
    """Numbers that are added to the ports of its services and apps."""
    allow_degraded_infra: bool | None = None
    """True if apps start although a service that they need is not healthy."""


class PortRange(Model):
    """Ports that may be given out."""

    start: Port
    """First port of the range, such as 20000."""
    end: Port
    """Last port of the range, which belongs to it."""


class Stack(Model):
    """An environment of the project (`IStackConfig`)."""

    type: Literal["local", "remote", "cluster"]
    """One host, one other host, or several."""
    watch: bool | None = None
    """Restart apps when their files change; true for dev if omitted."""
    nodes: list[StackNode] = later(list)
    """Hosts of a remote or cluster stack."""
    infrastructure: Infrastructure | None = None
    """Services of this stack; they override those of the ecosystem, by name."""
    settings: StackSettings = StackSettings()
    """Environment, log level, port offsets and other settings of this stack alone."""
    apps: list[Name] | Literal["all"] = "all"
    """Names of the apps that run in it, or `"all"`."""
    port_range: PortRange | None = None
    """Ports from which its services get theirs; a port, once given out, stays with its service."""
    service_overrides: dict[Text, ServiceOverride] = {}
    """Changes to services in this stack, by `service` or `app/service`; the latter wins."""


class Tls(Model):
    """A certificate; both files are PEM, and read by systemd, so that the gateway's user need not be able to."""

    certificate: Text
    """PEM file with the certificate, and those between it and the root."""
    key: Text
    """PEM file with the private key of the certificate."""


class RateLimit(Model):
    """The request rate of one client. More is answered with 429."""

    rate: Annotated[int, Field(ge=1, le=1_000_000)]
    """Requests per second for each IP address."""
    burst: Annotated[int, Field(ge=0, le=10_000_000)] | None = None
    """Requests that may come at once; twice the rate if omitted."""


class Maintenance(Model):
    """The answer in maintenance mode (`omnitron maintenance on`): 503."""

    page: Text | None = None
    """HTML file that is shown; `maintenance.html` of `configDir` if it is there and this is omitted."""
    allow: list[Text] = []
    """IP addresses and networks that are served as ever."""
    retry_after: Seconds = 60
    """Value of the `Retry-After` header, in seconds or as `"5min"`."""


class Gateway(Model):
    """The reverse proxy in front of a stack: `/api/APP/` and `/ws/APP/` of every app with such a transport."""

    port: Port = 8080
    """TCP port on which it listens; a stack's `portOffsets.gateway` is added."""
    host: Text = "0.0.0.0"
    """IP address to listen on; `127.0.0.1` for this host alone."""
    user: Text = "www-data"
    """Account that the workers of nginx run as."""
    config_dir: Text | None = None
    """The project's own files: `http/*.conf` and `server/*.conf` are included there, `lua/` is where modules are."""
    image: Text = "openresty/openresty:alpine"
    """Image, in a container: where it is said, or the host has no nginx."""
    tls: Tls | None = None
    """Certificate and key to serve HTTPS with; plain HTTP if omitted."""
    rate_limit: RateLimit | None = None
    """Bound on the requests of one client; none if omitted."""
    max_body_size: Size = 10 << 20
    """Largest body of a request, in bytes or as `"10mb"`; 413 beyond."""
    cors: bool | list[Text] = False
    """Origins that browsers may call from, `true` for all; the apps decide if false."""
    access_log: bool = False
    """True if each request is a line of the journal."""
    maintenance: Maintenance = Maintenance()
    """Page, exceptions and header of the answers during `omnitron maintenance on`."""


class Supervision(Model):
    """The restart strategy and budget of a stack."""

    strategy: Literal["one_for_one", "one_for_all", "rest_for_one"] = "one_for_one"
    """Processes that restart: the crashed one, every app of the stack, or the crashed app and the later ones."""
    max_restarts: Annotated[int, Field(ge=0, le=1_000_000)] = 5
    """Restarts inside the window; one more crash is final."""
    window: Duration = 60_000
    """Length of the sliding window in which crashes are counted, in milliseconds or as `"1min"`."""
    backoff: Backoff = Backoff()
    """Delay before each restart, and how it grows with each crash."""


class HealthCheck(Model):
    """The schedule of health checks."""

    interval: Duration = 15_000
    """Time between two checks of a process, in milliseconds or as `"15s"`."""
    timeout: Duration = 5_000
    """Deadline for the answer of one check, in milliseconds or as `"5s"`."""


class Prometheus(Model):
    """A TCP port on which Prometheus reads the figures of this project. The token crosses the network as it is."""

    port: Port
    """TCP port to serve `/metrics` on, such as 9464."""
    host: Text = "127.0.0.1"
    """IP address to listen on; use another one than loopback only behind TLS."""
    token_file: Text
    """File with the bearer token, readable by its owner alone; read anew for each request."""


class Metrics(Model):
    """The sampling of figures, and the time for which they are stored."""

    interval: Duration = 5_000
    """Time between two samples of the figures, in milliseconds or as `"5s"`."""
    retention: Seconds = 3600
    """Time for which samples are kept, in seconds or as `"1h"`."""
    prometheus: Prometheus | None = None
    """A TCP port for Prometheus; without it there is the watcher's socket alone."""


class Monitoring(Model):
    """Health and metrics."""

    health_check: HealthCheck = HealthCheck()
    """Interval and deadline of health checks where a process says nothing else."""
    metrics: Metrics = Metrics()
    """Interval, retention and export of the figures of all apps."""


class Logging(Model):
    """The level and the limits of logs."""

    level: LogLevel = "info"
    """Least severe level that is stored; lines below it are dropped."""
    journal: Literal["host", "namespace"] | None = None
    """`namespace` gives each stack a journal of its own; so does any of the three below."""
    max_size: Size = 50 << 20
    """Largest size of one journal file, in bytes or as `"50mb"`; gives the stack a journal of its own."""
    max_files: Annotated[int, Field(ge=1, le=10_000)] = 10
    """Number of journal files before the oldest is removed; gives the stack a journal of its own."""
    compress: bool = True
    """True if large entries are compressed; gives the stack a journal of its own."""


class EcosystemConfig(Model):
    """The whole project (`IEcosystemConfig`): what `define_ecosystem` takes, and `omnitron.config.*` holds."""

    project: Name
    """Name of the project; each unit says which one it belongs to."""
    apps: list[AppEntry]
    """The apps, in the order in which they start."""
    stacks: dict[Name, Stack] = {"dev": Stack(type="local")}
    """Environments by name, such as `dev` and `prod`; one local `dev` if omitted."""
    infrastructure: Infrastructure | None = None
    """Databases, caches and other services that all apps can use."""
    gateway: Gateway | None = None
    """Reverse proxy in front of the apps, one for each stack; none if omitted."""
    supervision: Supervision = Supervision()
    """Restart budget, delays and group strategy of all apps."""
    monitoring: Monitoring = Monitoring()
    """Health checks, and figures such as CPU and memory."""
    logging: Logging = Logging()
    """Level, size and place of the logs."""
    unit_prefix: Name = "omnitron"
    """First part of every unit's name; differs where two projects have equal stacks on one host.
    None that the distribution's own units have: its folders below `/var/lib` and `/run` go by it, too.
    """
    defaults: Defaults = Defaults()
    """User, limits and sandbox of every process that does not say otherwise."""
