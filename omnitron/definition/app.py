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
    """True if each request must have a valid token."""
    token_cache_ttl: Seconds = 60
    """Time for which a verified token is remembered, in seconds or as `"1min"`."""
    key_file: Text | None = None
    """File with the key: a PEM public key, or a secret of at least 32 bytes. Absolute, or relative to the project."""
    algorithm: (
        Literal["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA"]
        | None
    ) = None
    """The one algorithm that is accepted; the one that fits the key if omitted."""
    issuer: Text | None = None
    """Value that the claim `iss` must have; not checked if omitted."""
    audience: Text | None = None
    """Value that the claim `aud` must have; not checked if omitted."""
    roles_claim: Text = "roles"
    """Claim of the token that lists the caller's roles."""


class Auth(Model):
    """Authentication of callers."""

    manager: Function | None = hosted()
    """A function that makes what tells whose a token is: an object with `verify(token)`, or that function itself."""
    jwt: Jwt | None = None
    """Checks of JSON Web Tokens: key, algorithm, claims."""
    rls: Function | None = hosted()
    """A function for row level security: from who calls to what `current_call().rows` is."""
    invocation_wrapper: Function | None = hosted()
    """A function around each call: `async def wrapper(invocation, proceed)`."""


class Hooks(Model):
    """Functions called in the life of a process."""

    before_create: Function | None = None
    """Function to call before the app is made, as `file.py:function`."""
    after_create: Function | None = None
    """Function to call when the app has been made."""
    before_start: Function | None = None
    """Function to call before sockets open."""
    after_start: Function | None = None
    """Function to call when sockets are open, before it counts as ready."""
    before_stop: Function | None = None
    """Function to call on SIGTERM, when nothing is in flight any more."""
    after_stop: Function | None = None
    """Function to call last, before the process ends."""
    on_health_check: Function | None = None
    """Function that returns `healthy`, `degraded` or `unhealthy`."""


class CustomRoute(Model):
    """An HTTP route beside the services."""

    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    """HTTP method that the route answers, such as `GET`."""
    pattern: Text
    """Path of the route, such as `/stock/{good}/{count:int}`."""
    handler: Function
    """Function that answers, as `file.py:function`; it takes a Starlette request."""


class Topology(Model):
    """Services that a process offers to its siblings, and needs of them."""

    expose: bool = False
    """True if other processes of the stack may call its services."""
    access: list[Text] = []
    """Services of others that this process calls."""


class ProcessLogging(Model):
    """Logging of one process."""

    level: LogLevel | None = None
    """Least severe level that this process writes."""


class ProcessObservability(Model):
    """Logs, metrics and traces of one process."""

    metrics: bool | None = hosted()
    """True if the process host collects metrics of calls."""
    logging: ProcessLogging | None = None
    """Log level of this process alone."""


class Process(ProcessSettings):
    """One process of an app: a service, or a pool of them. Give either `module` or `command`."""

    name: Name
    """Name of the process, unique inside the app; part of its unit's name."""
    module: Text | None = None
    """Python file or import path that the process host runs."""
    command: Argv | None = None
    """A program of any kind and its arguments, started as they are."""
    topology: Topology | None = None
    """Services that it offers to other processes, and those that it calls."""
    auth: Auth | Literal[False] | None = None
    """Overrides the app's; `false` switches it off."""
    scaling: Scaling | None = None
    """Bounds and targets between which the pool grows and shrinks."""
    custom_routes: list[CustomRoute] = []
    """HTTP routes beside the services, answered by functions of the module."""
    hooks: Hooks | None = None
    """Functions called in its life; they override the app's."""
    observability: ProcessObservability | None = None
    """Metrics and log level; they override the app's."""


class PostgresRequirement(Model):
    """Deprecated: a database."""

    database: Text | None = later()
    """Name: it is that of the app."""
    pool: Annotated[int, Field(ge=1)] | None = None
    """Most connections in the app's pool."""
    extensions: list[Text] = []
    """Extensions to create in the database, such as `pg_trgm`."""
    migrations: Text | None = later()
    """Folder with the migrations of the database."""


class RedisRequirement(Model):
    """Deprecated: a Redis database."""

    db: Annotated[int, Field(ge=0)] | None = later()
    """Number: each app has its own."""
    prefix: Text | None = None
    """Text that the app puts before its keys, in REDIS_PREFIX."""
    purpose: list[Text] = later(list)
    """Purposes for which the app uses it."""


class S3Requirement(Model):
    """Deprecated: buckets."""

    buckets: list[Text] = []
    """Names; the first is the one that the app is told."""
    max_file_size: Size | None = later()
    """Largest object, in bytes or as `"50mb"`."""


class CustomRequirement(Model):
    """Deprecated: a container."""

    image: Text
    """Image of the container to run."""
    port: Port | None = None
    """TCP port that it listens on."""
    env: Environment = {}
    """Environment variables inside the container."""


class Requirements(Model):
    """Deprecated in favour of `omnitronConfig` in `config/default.json`."""

    postgres: PostgresRequirement | bool | None = None
    """Database for the app; `database` in `omnitronConfig` replaces it."""
    redis: RedisRequirement | bool | None = None
    """Redis database for the app; `redis` in `omnitronConfig` replaces it."""
    s3: S3Requirement | bool | None = None
    """Buckets for the app; `s3` in `omnitronConfig` replaces it."""
    discovery: bool | None = None
    """True if the app uses the ecosystem's service discovery."""
    notifications: bool | None = None
    """True if the app uses the ecosystem's notifications."""
    custom: dict[Name, CustomRequirement] = {}
    """Other containers that the app needs, by name."""


class ConfigSource(Model):
    """One source of configuration."""

    type: Literal["file", "env"]
    """Place of the values: `file` or `env`, the environment."""
    path: Text | None = None
    """Path of the file, relative to the bootstrap's folder."""
    prefix: Text | None = None
    """Prefix of the variables that count, such as `STOCK_`."""
    optional: bool = False
    """True if the file may be missing."""


class AppSettings(Model):
    """Configuration given to the app's modules."""

    sources: list[Text | ConfigSource] = []
    """Files and environment to read, in order; later values win."""
    env_prefix: Text | None = None
    """Prefix of environment variables that override all sources."""


class Dev(Model):
    """Overrides for development."""

    port: Port | None = None
    """HTTP port to use in development."""
    log_level: LogLevel | None = None
    """Least severe level that is logged in development."""
    source_maps: bool | None = later()
    """True if programs that have source maps use them."""
    env: Environment = {}
    """Environment variables that are added in development."""


class MetricsExport(Model):
    """The export of a process's metrics."""

    export: Literal["prometheus", "statsd"] = "prometheus"
    """To be asked for, or sent to STATSD_HOST and STATSD_PORT."""
    interval: Duration | None = None
    """Time between two packets of StatsD, in milliseconds or as `"10s"`, which it is if omitted."""


def parse_sampler(value: object) -> str:
    """Return a sampler's name as OTEL_TRACES_SAMPLER has it; True and a bare ratio follow the trace of the caller."""
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
"""The sampler of traces."""


class Tracing(Model):
    """Distributed tracing."""

    sampler: Sampler | None = None
    """Traces to record: a ratio from 0 to 1, or a name as in OTEL_TRACES_SAMPLER; all of them if omitted."""
    propagator: Literal["w3c", "jaeger"] = "w3c"
    """Format of a trace in HTTP headers: `traceparent` or `uber-trace-id`."""


class AppLogging(Model):
    """Logging of one app; overrides the ecosystem's."""

    level: LogLevel | None = None
    """Least severe level that the app's processes write."""
    max_size: Size | None = later()
    """Largest log, in bytes or as `"50mb"`; only a stack has one: a journal has no size per app."""
    max_files: Annotated[int, Field(ge=1)] | None = later()
    """Number of log files; only a stack has one."""
    compress: bool | None = later()
    """True if old logs are compressed; only a stack has this."""


class Observability(Model):
    """Logs, metrics and traces of an app."""

    metrics: bool | MetricsExport | None = hosted()
    """True if metrics of calls are collected, and how they are exported."""
    tracing: bool | Tracing | None = hosted()
    """Traces, sent by OTLP; needs `omnitron[tracing]`."""
    logging: AppLogging | None = None
    """Log level of the app's processes."""


class PoolSize(Model):
    """Connections to a database."""

    min: Annotated[int, Field(ge=0)] = 0
    """Connections that stay open when idle."""
    max: Annotated[int, Field(ge=1)] = 10
    """Most connections that are open at once."""


class Database(Model):
    """A database for the app."""

    dialect: Literal["postgres", "mysql", "sqlite"] = "postgres"
    """Kind of database server; omnitron itself runs `postgres`."""
    pool: PoolSize | None = None
    """Bounds on the app's connections, in DATABASE_POOL_MIN and DATABASE_POOL_MAX."""
    extensions: list[Text] = []
    """Extensions to create in the database, such as `pg_trgm`."""
    dedicated: bool = False
    """True if the app gets a server of its own."""


class RedisDatabase(Model):
    """A Redis database for the app."""

    prefix: Text | None = None
    """Text that the app puts before its keys, in REDIS_PREFIX."""
    dedicated: bool = False
    """True if the app gets a server of its own."""


class Bucket(Model):
    """A bucket for the app."""

    bucket: Text | None = None
    """Name of the bucket; that of the app if omitted."""
    quota: Size | None = None
    """Most that the bucket may hold, in bytes or as `"5gb"`, where a container of the stack serves it."""


class AppConfig(Model):
    """The infrastructure that one app needs (`OmnitronAppConfig`): key `omnitron` of `config/default.json`."""

    database: bool | Database | None = None
    """Database of the app's own; the app finds its address in DATABASE_URL."""
    redis: bool | RedisDatabase | None = None
    """Redis database of the app's own; the app finds its address in REDIS_URL."""
    s3: bool | Bucket | None = None
    """Bucket of the app's own; the app finds its address in S3_ENDPOINT and S3_BUCKET."""
    services: dict[Text, bool] = {}
    """Services of the ecosystem: discovery, notifications and others."""
    infrastructure: dict[Name, ServiceRequirement] = {}
    """Services of the app's own by name, as in the ecosystem's `infrastructure.services`."""


class System(Model):
    """The system of one app (`IAppDefinition`): what `define_system` takes, and a bootstrap file holds."""

    name: Text
    """Name of the app, for people; units go by the name of its entry."""
    version: Text | None = None
    """Version of the app, for people: such as `1.4.0`."""
    processes: list[Process]
    """Processes of the app: services and pools, one at least."""
    requires: Requirements | None = None
    """Infrastructure in the older form; prefer `omnitronConfig`."""
    auth: Auth | None = None
    """Checks of callers, for all processes of the app."""
    config: AppSettings | None = None
    """Configuration for the modules: files, and variables that override."""
    shutdown: Shutdown = Shutdown()
    """Time and order of the app's end."""
    hooks: Hooks | None = None
    """Functions called in the life of each process."""
    omnitron_config: AppConfig | None = None
    """Databases, caches and buckets that it needs, as in `config/default.json`."""
    env: Environment = {}
    """Environment variables of all its processes."""
    cwd: Text | None = None
    """Working directory, relative to the bootstrap's folder; the app's entry decides if omitted."""
    dev: Dev | None = None
    """Settings that replace others in development."""
    observability: Observability | None = None
    """Metrics, traces and log level of the app."""
