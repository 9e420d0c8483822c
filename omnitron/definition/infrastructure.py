"""Databases, caches, storage and other services that apps need: the infrastructure half of a definition."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from omnitron.definition.fields import Duration, Environment, Model, Name, Port, Size, Text, later

Ports = dict[Name, Port]


class SecretRef(Model):
    """A value kept in the secret store."""

    secret: Name
    """Name of the secret, as in `omnitron secret set NAME`."""


Secret = Text | SecretRef


class JsonRpcAuth(Model):
    """Credentials for a JSON-RPC health check."""

    user: Text
    """User name to authenticate the check with."""
    password: Secret
    """Password to authenticate the check with, best as `{secret: NAME}`."""
    type: Text = "basic"
    """Authentication scheme of the endpoint, such as `basic`."""


class JsonRpcCheck(Model):
    """A JSON-RPC health check."""

    port: Port | Text
    """Port number, or the name of one of the service's `ports`."""
    method: Text
    """JSON-RPC method that must answer without an error."""
    path: Text = "/json_rpc"
    """Path of the endpoint on that port."""
    auth: JsonRpcAuth | None = later()
    """User and password for the endpoint."""


class ServiceHealthCheck(Model):
    """The health check of a service."""

    type: Literal["http", "tcp", "command", "jsonrpc"]
    """Kind of check: an HTTP request, a TCP connection, a command, or a JSON-RPC call."""
    target: Text | None = None
    """URL or path for `http`, `host:port` for `tcp`, command line for `command`."""
    interval: Duration = 30_000
    """Time between two checks, in milliseconds or as `"30s"`."""
    timeout: Duration = 10_000
    """Deadline for the answer of one check, in milliseconds or as `"10s"`."""
    retries: Annotated[int, Field(ge=1)] = 5
    """Failures in a row before it is unhealthy."""
    start_period: Duration = 30_000
    """Time after its start in which failures do not count, in milliseconds or as `"30s"`."""
    jsonrpc: JsonRpcCheck | None = None
    """Endpoint and method to call, for type `jsonrpc`."""


class ContainerHealthCheck(Model):
    """A health check that the container engine runs."""

    test: Text | list[Text]
    """Command inside the container: a shell line, or a list such as `[CMD, pg_isready]`."""
    interval: Duration = 5_000
    """Time between two checks, in milliseconds or as `"5s"`."""
    timeout: Duration = 5_000
    """Deadline for the answer of one check, in milliseconds or as `"5s"`."""
    retries: Annotated[int, Field(ge=1)] = 5
    """Failures in a row before the container is unhealthy."""
    start_period: Duration | None = None
    """Time after the start in which failures do not count, in milliseconds or as `"10s"`."""


class ResourceLimits(Model):
    """Bounds on a service."""

    memory: Size | None = None
    """Most memory that it may use, in bytes or as `"512mb"`."""
    memory_reservation: Size | None = None
    """Memory that the host tries to leave to it, in bytes or as `"256mb"`."""
    cpus: Annotated[float, Field(gt=0, le=1_000_000, strict=False, allow_inf_nan=False)] | None = None
    """Most CPU time, in CPUs: 1.5 is one and a half."""
    shm_size: Size | None = None
    """Size of `/dev/shm` in a container, in bytes or as `"64mb"`."""


class DockerBuild(Model):
    """The build of an image."""

    context: Text
    """Folder that the image is built from, relative to the definition."""
    dockerfile: Text | None = None
    """Name of the Dockerfile in that folder; `Dockerfile` if omitted."""
    args: Environment = {}
    """Build arguments (`ARG`) and their values."""
    tag: Text | None = None
    """Name and tag of the image that is built."""


class DockerService(Model):
    """A service in a container."""

    image: Text | None = None
    """Image to run, such as `redis:7-alpine`; pulled where it is missing."""
    build: DockerBuild | None = None
    """Way to build the image in place of pulling it."""
    port_mappings: dict[Text, Port] = {}
    """Port in the container to port on the host, such as `{"6379": 6400}`."""
    bind_host: Text = "127.0.0.1"
    """IP address of the host on which its ports are published."""
    environment: Environment = {}
    """Environment variables inside the container; `${secret:NAME}` is filled in."""
    volumes: list[Text] = []
    """Mounts as `NAME:/path` for a volume or `./folder:/path` for a folder of the project."""
    command: Text | list[Text] | None = None
    """Command in place of the image's own: a line or a list."""
    entrypoint: Text | list[Text] | None = None
    """Entry point in place of the image's own: a line or a list."""
    user: Text | None = None
    """User, by name or number, that the program inside runs as."""
    health_check: ContainerHealthCheck | None = None
    """Health check that the engine runs inside the container."""
    resources: ResourceLimits | None = None
    """Bounds on memory and CPU of the container."""
    restart: Text = "unless-stopped"
    """Restart policy in the engine's words, carried out by systemd: `always`, `on-failure`, `no`."""
    shm_size: Size | None = None
    """Size of `/dev/shm` in the container, in bytes or as `"64mb"`."""
    network: Text | None = None
    """Network of the engine that the container joins."""
    extra_hosts: list[Text] = []
    """Further lines of its `/etc/hosts`, as `name:address`."""
    labels: dict[Text, Text] = {}
    """Labels of the container, beside those that omnitron sets."""
    variants: dict[Name, DockerService] = {}
    """Other settings by name; `networkMode` of the service selects one of them."""


class BareMetalService(Model):
    """A service on the host itself."""

    install_command: Text | None = later()
    """Command that installs the service on the host."""
    systemd_unit: Text | None = None
    """Unit of the host that runs it, such as `search.service`; it is started and waited for."""
    config_file: Text | None = later()
    """Path of its configuration on the host."""
    config_template: Text | None = later()
    """Template in the project that its configuration is made from."""
    data_dir: Text | None = later()
    """Folder of its data on the host."""
    user: Text | None = None
    """Account that it runs as; the server's own of the distribution if omitted."""
    bind_address: Text | None = later()
    """IP address that it listens on."""
    validate_command: Text | None = later()
    """Command that checks its configuration before it is used."""
    variants: dict[Name, BareMetalService] = {}
    """Other settings by name; `networkMode` of the service selects one of them."""


class ServiceRequirement(Model):
    """A service that apps need (`IServiceRequirement`), in full or from a preset."""

    preset: Literal["postgres", "redis", "minio", "openresty", "tor"] | None = None
    """Service that omnitron knows: its image, port, checks and clients need not be named."""
    description: Text | None = None
    """Text for people: purpose of the service."""
    type: Literal["database", "cache", "daemon", "gateway", "storage", "sidecar", "tool"] | None = None
    """Kind of service, for people and for tools that list services."""
    image: Text | None = None
    """Image of a preset that runs in a container, in place of its own."""
    config: dict[Text, Any] = {}
    """Settings of a preset's server, such as `{maxConnections: 200}` for postgres."""
    ports: Ports = {}
    """Port numbers by name, such as `{main: 5432}`; the stack's offset is added."""
    env: Environment = {}
    """Variables for the apps that use it; `${host}`, `${port:NAME}`, `${secret:NAME}` are filled in."""
    health_check: ServiceHealthCheck | None = None
    """Check by which it counts as healthy, at its start and later."""
    depends_on: list[Name] = []
    """Services that must be healthy before this one starts."""
    secrets: dict[Text, Secret] = {}
    """Secrets of the service by name: a value, or better `{secret: NAME}`."""
    docker: DockerService | None = None
    """Container that runs it; `{}` with a preset is a container with defaults."""
    bare_metal: BareMetalService | None = None
    """Unit or server of the host itself that runs it."""
    resources: ResourceLimits | None = None
    """Bounds on memory and CPU, for a preset."""
    version: Text | None = None
    """Version of the image, for a preset in a container."""
    network_mode: Text | None = None
    """Name of the entry of `variants` that applies."""
    critical: bool = True
    """True if apps wait until it is healthy."""
    startup_timeout: Duration = 120_000
    """Longest time until it is healthy, in milliseconds or as `"2min"`."""


class LegacyDatabase(Model):
    """One database of the legacy `postgres` block."""

    user: Text | None = None
    """Role that owns the database."""
    password: Secret | None = None
    """Password of that role, best as `{secret: NAME}`."""
    migrate: bool | None = later()
    """True if migrations run before apps start."""
    migration_dir: Text | None = later()
    """Folder with the migrations of this database."""


class LegacyPostgres(Model):
    """PostgreSQL, in the older form."""

    image: Text = "postgres:17-alpine"
    """Image, where it runs in a container."""
    port: Port = 5432
    """TCP port; the stack's offset is added."""
    user: Text | None = None
    """Name of the superuser inside the server."""
    password: Secret | None = None
    """Password of the superuser, best as `{secret: NAME}`."""
    databases: dict[Text, LegacyDatabase] = {}
    """Databases to create, by name, beside those of apps."""
    config: dict[Text, Any] = {}
    """Settings of the server, such as `{maxConnections: 200}`."""
    resources: ResourceLimits | None = None
    """Bounds on its memory and CPU."""


class LegacyRedis(Model):
    """Redis, in the older form."""

    image: Text = "redis:7-alpine"
    """Image, where it runs in a container."""
    port: Port = 6379
    """TCP port; the stack's offset is added."""
    password: Secret | None = None
    """Password of the server, best as `{secret: NAME}`."""
    config: dict[Text, Any] = {}
    """Settings of the server, such as `{maxmemory: 2gb}`."""
    databases: dict[Text, Any] = {}
    """Database numbers by name; apps get numbers of their own in any case."""
    resources: ResourceLimits | None = None
    """Bounds on its memory and CPU."""


class MinioPorts(Model):
    """Ports of MinIO."""

    api: Port = 9000
    """TCP port of the S3 interface."""
    console: Port = 9001
    """TCP port of the console in a browser."""


class LegacyMinio(Model):
    """MinIO, in the older form."""

    image: Text | None = None
    """Image of the container that serves S3."""
    ports: MinioPorts = MinioPorts()
    """TCP ports of the S3 interface and the console."""
    access_key: Secret | None = None
    """Access key of the administrator, best as `{secret: NAME}`."""
    secret_key: Secret | None = None
    """Secret key of the administrator, best as `{secret: NAME}`."""
    buckets: list[Text] = []
    """Names of buckets to create, beside those of apps."""
    resources: ResourceLimits | None = None
    """Bounds on its memory and CPU."""


class LegacyGateway(Model):
    """The gateway, in the older form."""

    image: Text = "openresty/openresty:alpine"
    """Image, where it runs in a container."""
    port: Port = 8080
    """TCP port on which it listens."""
    config_dir: Text = "infra/nginx"
    """Folder of the project with configuration of its own."""
    redis_db: Annotated[int, Field(ge=0)] | None = later()
    """Redis database that holds the key of maintenance mode."""
    custom_config: Text | None = later()
    """Further configuration for nginx, as text."""
    resources: ResourceLimits | None = later()
    """Bounds on its memory and CPU."""


class LegacyTor(Model):
    """Tor, in the older form."""

    image: Text | None = None
    """Image of the container that runs Tor."""
    hidden_service_ports: Any = None
    """Ports that the hidden services lead to."""
    resources: ResourceLimits | None = None
    """Bounds on its memory and CPU."""


class LegacyContainer(Model):
    """A container, in the older form."""

    image: Text
    """Image to run, such as `mailhog/mailhog:v1.0.1`."""
    ports: list[Text] | dict[Text, Port] = []
    """Ports as `HOST:CONTAINER`, or port numbers by name."""
    environment: Environment = {}
    """Environment variables inside the container."""
    volumes: list[Text] = []
    """Mounts as `NAME:/path` or `./folder:/path`."""
    command: Text | list[Text] | None = None
    """Command in place of the image's own."""
    health_check: ContainerHealthCheck | None = None
    """Health check that the engine runs inside the container."""
    resources: ResourceLimits | None = None
    """Bounds on its memory and CPU."""
    depends_on: list[Name] = []
    """Containers that must be healthy before this one starts."""


class Infrastructure(Model):
    """The services that the ecosystem's apps share (`InfrastructureConfig`)."""

    services: dict[Name, ServiceRequirement] = {}
    """Services by name, such as `postgres: {preset: postgres}`."""
    postgres: LegacyPostgres | None = None
    """PostgreSQL in the older form; prefer `services`."""
    redis: LegacyRedis | None = None
    """Redis in the older form; prefer `services`."""
    minio: LegacyMinio | None = None
    """MinIO in the older form; prefer `services`."""
    gateway: LegacyGateway | None = None
    """Gateway in the older form; prefer the ecosystem's `gateway`."""
    tor: LegacyTor | None = later()
    """Tor in the older form; not started by this version."""
    containers: dict[Name, LegacyContainer] = {}
    """Other containers by name, in the older form; prefer `services`."""


class ExternalService(Model):
    """A service that runs elsewhere."""

    host: Text
    """Host name or IP address at which it is reached."""
    ports: Ports = {}
    """Port numbers by name, such as `{main: 5432}`."""
    secrets: dict[Text, Secret] = {}
    """Secrets for it by name, such as `{password: {secret: NAME}}`."""


class ServiceOverride(Model):
    """Changes a declared service in one stack (`IServiceOverride`)."""

    external: ExternalService | None = None
    """Address of one that runs elsewhere, to use in place of one of the stack's own."""
    docker: DockerService | None = None
    """Settings of its container in this stack, merged over the declared ones."""
    bare_metal: BareMetalService | None = None
    """Settings on the host in this stack, merged over the declared ones."""
    disabled: bool = False
    """True if this stack does without the service."""
