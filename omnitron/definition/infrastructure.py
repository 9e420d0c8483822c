"""Databases, caches, storage and other services that apps need: the infrastructure half of a definition."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from omnitron.definition.fields import Duration, Environment, Model, Name, Port, Size, Text, later

Ports = dict[Name, Port]


class SecretRef(Model):
    """A value kept in the secret store."""

    secret: Name
    """Name of the secret."""


Secret = Text | SecretRef


class JsonRpcAuth(Model):
    """Credentials for a JSON-RPC health check."""

    user: Text
    """User."""
    password: Secret
    """Password."""
    type: Text = "basic"
    """Scheme."""


class JsonRpcCheck(Model):
    """A JSON-RPC health check."""

    port: Port | Text
    """Port, or the name of one."""
    method: Text
    """Method that must answer."""
    path: Text = "/json_rpc"
    """Path of the endpoint."""
    auth: JsonRpcAuth | None = later()
    """Credentials."""


class ServiceHealthCheck(Model):
    """How the health of a service is found out."""

    type: Literal["http", "tcp", "command", "jsonrpc"]
    """Kind of question."""
    target: Text | None = None
    """URL, address or command."""
    interval: Duration = 30_000
    """Time between checks."""
    timeout: Duration = 10_000
    """Deadline of one."""
    retries: Annotated[int, Field(ge=1)] = 5
    """Failures in a row before it is unhealthy."""
    start_period: Duration = 30_000
    """Time after its start in which failures do not count."""
    jsonrpc: JsonRpcCheck | None = None
    """For type jsonrpc."""


class ContainerHealthCheck(Model):
    """A health check that the container engine runs."""

    test: Text | list[Text]
    """Command."""
    interval: Duration = 5_000
    """Time between checks."""
    timeout: Duration = 5_000
    """Deadline of one."""
    retries: Annotated[int, Field(ge=1)] = 5
    """Failures in a row."""
    start_period: Duration | None = None
    """Time in which failures do not count."""


class ResourceLimits(Model):
    """Bounds on a service."""

    memory: Size | None = None
    """Most memory."""
    memory_reservation: Size | None = None
    """Memory kept for it."""
    cpus: Annotated[float, Field(gt=0, le=1_000_000, strict=False, allow_inf_nan=False)] | None = None
    """CPUs."""
    shm_size: Size | None = None
    """Shared memory."""


class DockerBuild(Model):
    """How an image is built."""

    context: Text
    """Folder."""
    dockerfile: Text | None = None
    """File."""
    args: Environment = {}
    """Build arguments."""
    tag: Text | None = None
    """Tag."""


class DockerService(Model):
    """A service in a container."""

    image: Text | None = None
    """Image."""
    build: DockerBuild | None = None
    """Or how to build it."""
    port_mappings: dict[Text, Port] = {}
    """Port in the container to port on the host."""
    bind_host: Text = "127.0.0.1"
    """Address on the host."""
    environment: Environment = {}
    """Environment of the container."""
    volumes: list[Text] = []
    """Mounts."""
    command: Text | list[Text] | None = None
    """Overrides the image's."""
    entrypoint: Text | list[Text] | None = None
    """Overrides the image's."""
    user: Text | None = None
    """User inside."""
    health_check: ContainerHealthCheck | None = None
    """Health check."""
    resources: ResourceLimits | None = None
    """Bounds."""
    restart: Text = "unless-stopped"
    """Restart policy of the engine."""
    shm_size: Size | None = None
    """Shared memory."""
    network: Text | None = None
    """Network."""
    extra_hosts: list[Text] = []
    """More names."""
    labels: dict[Text, Text] = {}
    """Labels."""
    variants: dict[Name, DockerService] = {}
    """Overrides by network mode."""


class BareMetalService(Model):
    """A service on the host itself."""

    install_command: Text | None = later()
    """How to install it."""
    systemd_unit: Text | None = None
    """Unit of the host that runs it."""
    config_file: Text | None = later()
    """Its configuration."""
    config_template: Text | None = later()
    """What that is made from."""
    data_dir: Text | None = later()
    """Its data."""
    user: Text | None = None
    """Its user."""
    bind_address: Text | None = later()
    """Its address."""
    validate_command: Text | None = later()
    """How to check the configuration."""
    variants: dict[Name, BareMetalService] = {}
    """Overrides by network mode."""


class ServiceRequirement(Model):
    """A service that apps need (`IServiceRequirement`), in full or from a preset."""

    preset: Literal["postgres", "redis", "minio", "openresty", "tor"] | None = None
    """A known service to start from."""
    description: Text | None = None
    """What it is."""
    type: Literal["database", "cache", "daemon", "gateway", "storage", "sidecar", "tool"] | None = None
    """Its kind."""
    image: Text | None = None
    """Image, for a preset in a container."""
    config: dict[Text, Any] = {}
    """Settings of a preset."""
    ports: Ports = {}
    """Names of its ports."""
    env: Environment = {}
    """Given to the app; `${host}`, `${port:NAME}`, `${secret:NAME}`."""
    health_check: ServiceHealthCheck | None = None
    """How its health is found out."""
    depends_on: list[Name] = []
    """Services that must be healthy before."""
    secrets: dict[Text, Secret] = {}
    """Its secrets."""
    docker: DockerService | None = None
    """In a container."""
    bare_metal: BareMetalService | None = None
    """On the host."""
    resources: ResourceLimits | None = None
    """Bounds, for a preset."""
    version: Text | None = None
    """Version of the image, for a preset in a container."""
    network_mode: Text | None = None
    """Selects a variant."""
    critical: bool = True
    """Whether apps wait for it."""
    startup_timeout: Duration = 120_000
    """Longest time until it is healthy."""


class LegacyDatabase(Model):
    """One database of the legacy `postgres` block."""

    user: Text | None = None
    """Owner."""
    password: Secret | None = None
    """Password."""
    migrate: bool | None = later()
    """Whether migrations run."""
    migration_dir: Text | None = later()
    """Their folder."""


class LegacyPostgres(Model):
    """PostgreSQL, in the older form."""

    image: Text = "postgres:17-alpine"
    """Image."""
    port: Port = 5432
    """Port."""
    user: Text | None = None
    """Superuser."""
    password: Secret | None = None
    """Password."""
    databases: dict[Text, LegacyDatabase] = {}
    """Databases."""
    config: dict[Text, Any] = {}
    """Server settings."""
    resources: ResourceLimits | None = None
    """Bounds."""


class LegacyRedis(Model):
    """Redis, in the older form."""

    image: Text = "redis:7-alpine"
    """Image."""
    port: Port = 6379
    """Port."""
    password: Secret | None = None
    """Password."""
    config: dict[Text, Any] = {}
    """Server settings."""
    databases: dict[Text, Any] = {}
    """Database numbers."""
    resources: ResourceLimits | None = None
    """Bounds."""


class MinioPorts(Model):
    """Ports of MinIO."""

    api: Port = 9000
    """S3 API."""
    console: Port = 9001
    """Console."""


class LegacyMinio(Model):
    """MinIO, in the older form."""

    image: Text | None = None
    """Image."""
    ports: MinioPorts = MinioPorts()
    """Ports."""
    access_key: Secret | None = None
    """Access key."""
    secret_key: Secret | None = None
    """Secret key."""
    buckets: list[Text] = []
    """Buckets."""
    resources: ResourceLimits | None = None
    """Bounds."""


class LegacyGateway(Model):
    """The gateway, in the older form."""

    image: Text = "openresty/openresty:alpine"
    """Image."""
    port: Port = 8080
    """Port."""
    config_dir: Text = "infra/nginx"
    """Its files."""
    redis_db: Annotated[int, Field(ge=0)] | None = later()
    """Database for maintenance mode."""
    custom_config: Text | None = later()
    """More configuration."""
    resources: ResourceLimits | None = later()
    """Bounds."""


class LegacyTor(Model):
    """Tor, in the older form."""

    image: Text | None = None
    """Image."""
    hidden_service_ports: Any = None
    """Ports."""
    resources: ResourceLimits | None = None
    """Bounds."""


class LegacyContainer(Model):
    """A container, in the older form."""

    image: Text
    """Image."""
    ports: list[Text] | dict[Text, Port] = []
    """Ports."""
    environment: Environment = {}
    """Environment."""
    volumes: list[Text] = []
    """Mounts."""
    command: Text | list[Text] | None = None
    """Command."""
    health_check: ContainerHealthCheck | None = None
    """Health check."""
    resources: ResourceLimits | None = None
    """Bounds."""
    depends_on: list[Name] = []
    """Containers that must be healthy before."""


class Infrastructure(Model):
    """The services that the ecosystem's apps share (`InfrastructureConfig`)."""

    services: dict[Name, ServiceRequirement] = {}
    """Services by name."""
    postgres: LegacyPostgres | None = None
    """Legacy: PostgreSQL."""
    redis: LegacyRedis | None = None
    """Legacy: Redis."""
    minio: LegacyMinio | None = None
    """Legacy: MinIO."""
    gateway: LegacyGateway | None = None
    """Legacy: the gateway."""
    tor: LegacyTor | None = later()
    """Legacy: Tor."""
    containers: dict[Name, LegacyContainer] = {}
    """Legacy: other containers."""


class ExternalService(Model):
    """A service that runs elsewhere."""

    host: Text
    """Its host."""
    ports: Ports = {}
    """Its ports."""
    secrets: dict[Text, Secret] = {}
    """Its secrets."""


class ServiceOverride(Model):
    """Changes a declared service in one stack (`IServiceOverride`)."""

    external: ExternalService | None = None
    """Use one that runs elsewhere."""
    docker: DockerService | None = None
    """Container settings, merged."""
    bare_metal: BareMetalService | None = None
    """Host settings, merged."""
    disabled: bool = False
    """Do without."""
