"""The system of one app: what `bootstrap.*` and `config/default.json` may say."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from omnitron.definition.fields import (
    Argv,
    Duration,
    Environment,
    Function,
    Model,
    Name,
    Port,
    Seconds,
    Size,
    Text,
    hosted,
    later,
)
from omnitron.definition.infrastructure import ServiceRequirement
from omnitron.definition.process import ProcessSettings, Scaling, Shutdown

LogLevel = Literal["fatal", "error", "warn", "info", "debug", "trace"]


class Jwt(Model):
    """Checks of JSON Web Tokens."""

    enabled: bool = False
    """Whether a token is asked for."""
    token_cache_ttl: Seconds = 60
    """Seconds for which a verified token is remembered."""
    key_file: Text | None = None
    """File with the key: a PEM public key, or a secret of at least 32 bytes. Absolute, or relative to the project."""
    algorithm: (
        Literal["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA"]
        | None
    ) = None
    """The one algorithm that is accepted; the one that fits the key if omitted."""
    issuer: Text | None = None
    """Value that `iss` must have."""
    audience: Text | None = None
    """Value that `aud` must have."""
    roles_claim: Text = "roles"
    """Claim that lists the caller's roles."""


class Auth(Model):
    """Who may call."""

    manager: Function | None = hosted()
    """A function that makes what tells whose a token is: an object with `verify(token)`, or that function itself."""
    jwt: Jwt | None = None
    """JSON Web Tokens."""
    rls: Function | None = hosted()
    """A function for row level security: from who calls to what `current_call().rows` is."""
    invocation_wrapper: Function | None = hosted()
    """A function around each call: `async def wrapper(invocation, proceed)`."""


class Hooks(Model):
    """Functions called in the life of a process."""

    before_create: Function | None = None
    """Before the app is made."""
    after_create: Function | None = None
    """When the app is made."""
    before_start: Function | None = None
    """Before it starts."""
    after_start: Function | None = None
    """When it has started, before it is ready."""
    before_stop: Function | None = None
    """When it is asked to stop."""
    after_stop: Function | None = None
    """When it has stopped."""
    on_health_check: Function | None = None
    """Returns `healthy`, `degraded` or `unhealthy`."""


class CustomRoute(Model):
    """An HTTP route beside the services."""

    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    """HTTP method."""
    pattern: Text
    """Path pattern."""
    handler: Function
    """Function that answers."""


class Topology(Model):
    """What a process offers to its siblings and needs of them."""

    expose: bool = False
    """Offer this process's services."""
    access: list[Text] = []
    """Services of others that this process calls."""


class ProcessLogging(Model):
    """Logging of one process."""

    level: LogLevel | None = None
    """Least severe level that is kept."""


class ProcessObservability(Model):
    """What is recorded of one process."""

    metrics: bool | None = hosted()
    """Whether metrics are collected."""
    logging: ProcessLogging | None = None
    """Logging."""


class Process(ProcessSettings):
    """One process of an app: a service, or a pool of them. Give either `module` or `command`."""

    name: Name
    """Unique inside the app."""
    module: Text | None = None
    """Python file or import path that the process host runs."""
    command: Argv | None = None
    """A program of any kind and its arguments, started as they are."""
    topology: Topology | None = None
    """Services offered and needed."""
    auth: Auth | Literal[False] | None = None
    """Overrides the app's; `false` switches it off."""
    scaling: Scaling | None = None
    """How the pool grows and shrinks."""
    custom_routes: list[CustomRoute] = []
    """HTTP routes beside the services."""
    hooks: Hooks | None = None
    """Override the app's."""
    observability: ProcessObservability | None = None
    """Overrides the app's."""


class PostgresRequirement(Model):
    """Deprecated: a database."""

    database: Text | None = later()
    """Name: it is that of the app."""
    pool: Annotated[int, Field(ge=1)] | None = None
    """Connections."""
    extensions: list[Text] = []
    """Extensions."""
    migrations: Text | None = later()
    """Folder of migrations."""


class RedisRequirement(Model):
    """Deprecated: a Redis database."""

    db: Annotated[int, Field(ge=0)] | None = later()
    """Number: each app has its own."""
    prefix: Text | None = None
    """Key prefix."""
    purpose: list[Text] = later(list)
    """What for."""


class S3Requirement(Model):
    """Deprecated: buckets."""

    buckets: list[Text] = []
    """Names; the first is the one that the app is told."""
    max_file_size: Size | None = later()
    """Largest object."""


class CustomRequirement(Model):
    """Deprecated: a container."""

    image: Text
    """Image."""
    port: Port | None = None
    """Port."""
    env: Environment = {}
    """Environment."""


class Requirements(Model):
    """Deprecated in favour of `omnitronConfig` in `config/default.json`."""

    postgres: PostgresRequirement | bool | None = None
    """Database."""
    redis: RedisRequirement | bool | None = None
    """Redis."""
    s3: S3Requirement | bool | None = None
    """Buckets."""
    discovery: bool | None = None
    """Service discovery."""
    notifications: bool | None = None
    """Notifications."""
    custom: dict[Name, CustomRequirement] = {}
    """Containers."""


class ConfigSource(Model):
    """Where configuration comes from."""

    type: Literal["file", "env"]
    """A file or the environment."""
    path: Text | None = None
    """Path of the file."""
    prefix: Text | None = None
    """Prefix of the variables."""
    optional: bool = False
    """Whether it may be missing."""


class AppSettings(Model):
    """Configuration given to the app's modules."""

    sources: list[Text | ConfigSource] = []
    """In order, later ones win."""
    env_prefix: Text | None = None
    """Prefix of environment variables that override."""


class Dev(Model):
    """Overrides for development."""

    port: Port | None = None
    """HTTP port."""
    log_level: LogLevel | None = None
    """Log level."""
    source_maps: bool | None = later()
    """For programs that have them."""
    env: Environment = {}
    """Environment variables."""


class MetricsExport(Model):
    """How metrics leave a process."""

    export: Literal["prometheus", "statsd"] = "prometheus"
    """To be asked for, or sent to STATSD_HOST and STATSD_PORT."""
    interval: Duration | None = None
    """Time between two packets of StatsD; 10 s if omitted."""


def parse_sampler(value: object) -> str:
    """Return a sampler's name as OTEL_TRACES_SAMPLER has it, with `:ratio` where it has one.

    True and a ratio alone leave the choice to the caller's trace, where there is one.
    """
    if value is True:
        return "parentbased_always_on"
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = f"parentbased_traceidratio:{value}"
    name, colon, ratio = value.partition(":") if isinstance(value, str) else ("", "", "")
    base = name.removeprefix("parentbased_")
    try:
        if (base in ("always_on", "always_off") and not colon) or (base == "traceidratio" and 0 <= float(ratio) <= 1):
            return str(value)
    except ValueError:
        pass
    raise ValueError(
        'must be a ratio from 0 to 1, or "always_on", "always_off" or "traceidratio:0.1", '
        f'with "parentbased_" before it to heed the caller, not {value!r}'
    )


Sampler = Annotated[
    str,
    BeforeValidator(parse_sampler),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": 1},
                {"type": "string", "pattern": r"^(parentbased_)?(always_on|always_off|traceidratio:[0-9.eE-]+)$"},
                {"const": True},
            ]
        }
    ),
]
"""What decides which traces are kept."""


class Tracing(Model):
    """Distributed tracing."""

    sampler: Sampler | None = None
    """Which traces are kept: a ratio from 0 to 1, or a name as in OTEL_TRACES_SAMPLER; all of them if omitted."""
    propagator: Literal["w3c", "jaeger"] = "w3c"
    """How a trace is carried on in HTTP headers: `traceparent` or `uber-trace-id`."""


class AppLogging(Model):
    """Logging of one app; overrides the ecosystem's."""

    level: LogLevel | None = None
    """Least severe level that is kept."""
    max_size: Size | None = later()
    """Per stack only: a journal has no size per app."""
    max_files: Annotated[int, Field(ge=1)] | None = later()
    """Per stack only."""
    compress: bool | None = later()
    """Per stack only."""


class Observability(Model):
    """What is recorded of an app."""

    metrics: bool | MetricsExport | None = hosted()
    """Metrics."""
    tracing: bool | Tracing | None = hosted()
    """Traces, sent by OTLP; needs `omnitron[tracing]`."""
    logging: AppLogging | None = None
    """Logging."""


class PoolSize(Model):
    """Connections to a database."""

    min: Annotated[int, Field(ge=0)] = 0
    """Kept open."""
    max: Annotated[int, Field(ge=1)] = 10
    """At most."""


class Database(Model):
    """A database for the app."""

    dialect: Literal["postgres", "mysql", "sqlite"] = "postgres"
    """Kind."""
    pool: PoolSize | None = None
    """Connections."""
    extensions: list[Text] = []
    """To be installed in it."""
    dedicated: bool = False
    """A server of its own."""


class RedisDatabase(Model):
    """A Redis database for the app."""

    prefix: Text | None = None
    """Key prefix."""
    dedicated: bool = False
    """A server of its own."""


class Bucket(Model):
    """A bucket for the app."""

    bucket: Text | None = None
    """Name."""
    quota: Size | None = None
    """Largest size, where a container of the stack serves it."""


class AppConfig(Model):
    """The infrastructure that one app needs (`OmnitronAppConfig`): key `omnitron` of `config/default.json`."""

    database: bool | Database | None = None
    """A database, its address in DATABASE_URL."""
    redis: bool | RedisDatabase | None = None
    """Redis, its address in REDIS_URL."""
    s3: bool | Bucket | None = None
    """A bucket, its address in S3_*."""
    services: dict[Text, bool] = {}
    """Services of the ecosystem: discovery, notifications and others."""
    infrastructure: dict[Name, ServiceRequirement] = {}
    """Services of the app's own."""


class System(Model):
    """The system of one app (`IAppDefinition`): what `define_system` takes, and a bootstrap file holds."""

    name: Text
    """Name of the app."""
    version: Text | None = None
    """Version of the app."""
    processes: list[Process]
    """At least one."""
    requires: Requirements | None = None
    """Deprecated: infrastructure."""
    auth: Auth | None = None
    """Who may call."""
    config: AppSettings | None = None
    """Configuration for the modules."""
    shutdown: Shutdown = Shutdown()
    """How it is asked to end."""
    hooks: Hooks | None = None
    """Functions called in its life."""
    omnitron_config: AppConfig | None = None
    """Infrastructure that it needs."""
    env: Environment = {}
    """Environment variables of all its processes."""
    cwd: Text | None = None
    """Working directory, relative to the bootstrap's folder; the app's entry decides if omitted."""
    dev: Dev | None = None
    """Overrides for development."""
    observability: Observability | None = None
    """What is recorded."""
