"""Every field and default of the configuration reference, in its own spelling: a table, one line per interface.

`name!` must be given, `name` has no default, `name=value` has one, `name=…` has that of its own line.
What stands after `+` goes beyond the reference.
"""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from pydantic_core import PydanticUndefined

from omnitron.definition import app, ecosystem, infrastructure, process
from omnitron.definition.fields import Model

TABLE: list[tuple[type[Model], str]] = [
    (
        ecosystem.EcosystemConfig,
        "project! apps! stacks infrastructure gateway supervision=… monitoring=… logging=… + unitPrefix=omnitron "
        "defaults=…",
    ),
    (
        ecosystem.AppEntry,
        "name! bootstrap script enabled=true critical=false dependsOn=[] instances env={} cwd restartPolicy "
        "startupTimeout=30000 watch + command shutdown health transports user group paths limits hardening systemd",
    ),
    (ecosystem.Watch, "directory! include=[] ignore=[] debounce=300"),
    (
        ecosystem.Stack,
        "type! watch nodes=[] infrastructure settings=… apps=all portRange serviceOverrides={}",
    ),
    (ecosystem.StackNode, "host! port=9700 role! apps=all ssh label"),
    (ecosystem.SshAccess, "user privateKey port=22"),
    (
        ecosystem.StackSettings,
        "redisDbOffset containerPrefix env={} logLevel portOffsets + allowDegradedInfra",
    ),
    (ecosystem.PortOffsets, "postgres=0 redis=0 minio=0 + gateway=0 apps=0"),
    (ecosystem.PortRange, "start! end!"),
    (ecosystem.Supervision, "strategy=one_for_one maxRestarts=5 window=60000 backoff=…"),
    (process.Backoff, "type=exponential initial=1000 max=30000 factor=2"),
    (process.RestartPolicy, "enabled maxRestarts window delay backoff + restart"),
    (ecosystem.Monitoring, "healthCheck=… metrics=…"),
    (ecosystem.HealthCheck, "interval=15000 timeout=5000"),
    (ecosystem.Prometheus, "port! tokenFile! + host=127.0.0.1"),
    (ecosystem.Metrics, "interval=5000 retention=3600 + prometheus"),
    (ecosystem.Logging, "level=info maxSize=52428800 maxFiles=10 compress=true + journal"),
    (
        ecosystem.Gateway,
        "port=8080 configDir image=openresty/openresty:alpine + host=0.0.0.0 user=www-data tls rateLimit "
        "maxBodySize=10485760 cors=false accessLog=false maintenance=…",
    ),
    (ecosystem.Tls, "+ certificate! key!"),
    (ecosystem.RateLimit, "+ rate! burst"),
    (ecosystem.Maintenance, "+ page allow=[] retryAfter=60"),
    (
        app.System,
        "name! version processes! requires auth config shutdown=… hooks omnitronConfig env={} cwd dev observability",
    ),
    (
        app.Process,
        "name! module critical=false instances topology transports auth health startupTimeout=30000 scaling "
        "restartPolicy env={} customRoutes=[] hooks observability "
        "+ command user group paths limits hardening systemd",
    ),
    (app.Topology, "expose=false access=[]"),
    (
        process.HttpTransport,
        "port! host=0.0.0.0 cors=true requestTimeout=120000 keepAliveTimeout=65000 headersTimeout=60000 "
        "maxRequestSize appVersion + socketActivation",
    ),
    (process.WebSocketTransport, "port! host=0.0.0.0 path=/ws keepAlive + socketActivation"),
    (process.KeepAlive, "interval timeout"),
    (process.Transports, "http websocket"),
    (process.HealthProbe, "+ type! target command"),
    (process.Health, "enabled=true interval=15000 timeout=5000 retries=3 + probe startPeriod=0"),
    (
        process.Scaling,
        "strategy=fixed maxInstances targetCPU=70 targetMemory=80 queueThreshold=100 cooldownPeriod=60000",
    ),
    (process.Shutdown, "timeout=10000 priority=0 drainConnections=true"),
    (process.Paths, "+ state=false cache=false write=[]"),
    (process.Defaults, "+ user limits hardening"),
    (process.Limits, "+ memoryMax memoryHigh cpuQuota cpuWeight tasksMax ioWeight"),
    (process.RawUnit, "+ unit={} service={}"),
    (app.Auth, "manager jwt rls invocationWrapper"),
    (app.Jwt, "enabled=false tokenCacheTtl=60 keyFile algorithm issuer audience rolesClaim=roles"),
    (
        app.Hooks,
        "beforeCreate afterCreate beforeStart afterStart beforeStop afterStop onHealthCheck",
    ),
    (app.CustomRoute, "method! pattern! handler!"),
    (app.AppSettings, "sources=[] envPrefix"),
    (app.ConfigSource, "type! path prefix optional=false"),
    (app.Dev, "port logLevel sourceMaps env={}"),
    (app.Observability, "metrics tracing logging"),
    (app.MetricsExport, "export=prometheus interval"),
    (app.Tracing, "sampler propagator=w3c"),
    (app.AppLogging, "level maxSize maxFiles compress"),
    (app.ProcessObservability, "metrics logging"),
    (app.ProcessLogging, "level"),
    (app.AppConfig, "database redis s3 services={} infrastructure={}"),
    (app.Database, "dialect=postgres pool extensions=[] dedicated=false"),
    (app.PoolSize, "min=0 max=10"),
    (app.RedisDatabase, "prefix dedicated=false"),
    (app.Bucket, "bucket quota"),
    (app.Requirements, "postgres redis s3 discovery notifications custom={}"),
    (app.PostgresRequirement, "database pool extensions=[] migrations"),
    (app.RedisRequirement, "db prefix purpose=[]"),
    (app.S3Requirement, "buckets=[] maxFileSize"),
    (app.CustomRequirement, "image! port env={}"),
    (
        infrastructure.Infrastructure,
        "services={} postgres redis minio gateway tor containers={}",
    ),
    (
        infrastructure.ServiceRequirement,
        "preset description type image config={} ports={} env={} healthCheck dependsOn=[] secrets={} docker bareMetal "
        "resources version networkMode critical=true startupTimeout=120000",
    ),
    (
        infrastructure.ServiceHealthCheck,
        "type! target interval=30000 timeout=10000 retries=5 startPeriod=30000 jsonrpc",
    ),
    (infrastructure.JsonRpcCheck, "port! method! path=/json_rpc auth"),
    (infrastructure.JsonRpcAuth, "user! password! type=basic"),
    (
        infrastructure.DockerService,
        "image build portMappings={} bindHost=127.0.0.1 environment={} volumes=[] command entrypoint user healthCheck "
        "resources restart=unless-stopped shmSize network extraHosts=[] labels={} variants={}",
    ),
    (infrastructure.DockerBuild, "context! dockerfile args={} tag"),
    (
        infrastructure.BareMetalService,
        "installCommand systemdUnit configFile configTemplate dataDir user bindAddress validateCommand variants={}",
    ),
    (infrastructure.ServiceOverride, "external docker bareMetal disabled=false"),
    (infrastructure.ExternalService, "host! ports={} secrets={}"),
    (infrastructure.ResourceLimits, "memory memoryReservation cpus shmSize"),
    (infrastructure.ContainerHealthCheck, "test! interval=5000 timeout=5000 retries=5 startPeriod"),
    (
        infrastructure.LegacyPostgres,
        "image=postgres:17-alpine port=5432 user password databases={} config={} resources",
    ),
    (infrastructure.SecretRef, "secret!"),
    (infrastructure.LegacyDatabase, "user password migrate migrationDir"),
    (infrastructure.LegacyRedis, "image=redis:7-alpine port=6379 password config={} databases={} resources"),
    (infrastructure.LegacyMinio, "image ports=… accessKey secretKey buckets=[] resources"),
    (infrastructure.MinioPorts, "api=9000 console=9001"),
    (
        infrastructure.LegacyGateway,
        "image=openresty/openresty:alpine port=8080 configDir=infra/nginx redisDb customConfig resources",
    ),
    (infrastructure.LegacyTor, "image hiddenServicePorts resources"),
    (
        infrastructure.LegacyContainer,
        "image! ports=[] environment={} volumes=[] command healthCheck resources dependsOn=[]",
    ),
]


def said(text: str) -> dict[str, Any]:
    words = [word.partition("=") for word in text.replace("!", "=!").split() if word != "+"]
    return {key: {"!": "!", "…": "…", "": None}.get(value, yaml.safe_load(value or "~")) for key, _, value in words}


def found(model: type[Model]) -> dict[str, Any]:
    model.model_rebuild()  # before 2.11 pydantic sets aliases only then
    return {field.alias or name: default_of(field) for name, field in model.model_fields.items()}


def default_of(field: Any) -> Any:
    default = field.get_default(call_default_factory=True, validated_data={})
    if default is PydanticUndefined:
        return "!"
    return "…" if isinstance(default, Model) and default == type(default)() else default


@pytest.mark.parametrize(("model", "line"), TABLE, ids=lambda value: getattr(value, "__name__", ""))
def test_fields_and_defaults(model: type[Model], line: str) -> None:
    expected = said(line)
    if model is ecosystem.EcosystemConfig:
        expected["stacks"] = {"dev": ecosystem.Stack(type="local")}
    assert found(model) == expected


def test_the_table_has_every_model() -> None:
    def below(model: type[Model]) -> set[type[Model]]:
        return {model, *(inner for child in model.__subclasses__() for inner in below(child))}

    mine = {model for model in below(Model) if model.__module__.startswith("omnitron.")}
    assert mine == {model for model, _ in TABLE} | {Model, process.ProcessSettings}
