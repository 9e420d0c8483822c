"""Compiles the policy of a stack: what every part has to know of it that must not load a definition."""

from __future__ import annotations

from omnitron.definition.paths import absolute
from omnitron.definition.project import App, Ecosystem
from omnitron.gateway.routes import Site
from omnitron.infra.placement import ServicePlacement
from omnitron.infra.redis_numbers import label
from omnitron.infra.resolve import Infra
from omnitron.names import CRASH_RECORD, GATEWAY, INFRA_PREFIX
from omnitron.planner.checks.ports import Claim
from omnitron.planner.facts import HostFacts
from omnitron.planner.resolve.host_spec import runtime_folder
from omnitron.planner.resolve.order import start_order
from omnitron.planner.resolve.process import PlannedProcess
from omnitron.planner.resolve.watched_files import watched
from omnitron.planner.units.names import StackNames
from omnitron.planner.units.stack import Apps
from omnitron.policy import model
from omnitron.policy.model import (
    AppPolicy,
    ContainerPolicy,
    InfraServicePolicy,
    MaintenancePolicy,
    PortPolicy,
    ProcessPolicy,
    RestartsPolicy,
    ScalingPolicy,
    StackPolicy,
    WatchPolicy,
)
from omnitron.policy.server_specs import ContainerSpec


def compile_policy(
    ecosystem: Ecosystem,
    names: StackNames,
    apps: Apps,
    needed: frozenset[str],
    infra: Infra,
    site: Site | None,
    claims: tuple[Claim, ...],
    facts: HostFacts,
) -> StackPolicy:
    """Return the policy of one stack; apps are in the order in which they start, after the servers they use."""
    supervision, metrics = ecosystem.config.supervision, ecosystem.config.monitoring.metrics
    members = {name: ecosystem.by_name[name] for name in apps if name in ecosystem.by_name}
    order = start_order({name: app.entry.depends_on for name, app in members.items()})
    return StackPolicy(
        project=names.project,
        stack=names.stack,
        type=ecosystem.config.stacks[names.stack].type,
        prefix=names.prefix,
        source=ecosystem.path,
        target=names.stack_target,
        slice=names.stack_slice,
        critical_target=names.critical_target,
        log_namespace=names.log_namespace,
        strategy=supervision.strategy,
        max_restarts=supervision.max_restarts,
        window=supervision.window,
        sample_interval=metrics.interval,
        retention=round(metrics.retention * 1000),
        prometheus=_prometheus(ecosystem),
        apps=(
            *(_server(name, names, apps[name]) for name in apps if name not in members),
            *(
                _app(
                    members[name],
                    names,
                    apps[name],
                    infra,
                    is_needed=name in needed,
                    watch=watched(ecosystem, names.stack, members[name], facts),
                )
                for name in order
            ),
        ),
        infra=tuple(
            _service(placement, infra, next(iter(apps.get(INFRA_PREFIX + placement.name, ())), None))
            for placement in infra.services
        ),
        ports={claim.label: claim.port for claim in claims},
        redis_numbers={label(use): number for use, number in infra.numbers.items()},
        maintenance=_maintenance(site),
    )


def _prometheus(ecosystem: Ecosystem) -> PortPolicy | None:
    endpoint = ecosystem.config.monitoring.metrics.prometheus
    if endpoint is None:
        return None
    host = endpoint.host.removeprefix("[").removesuffix("]")
    return PortPolicy(host, endpoint.port, str(absolute(ecosystem.folder, endpoint.token_file)))


def _maintenance(site: Site | None) -> MaintenancePolicy | None:
    redis = site.redis if site else None
    return MaintenancePolicy(redis.host, redis.port, redis.database, redis.credential) if redis else None


def _service(placement: ServicePlacement, infra: Infra, server: PlannedProcess | None) -> InfraServicePolicy:
    """Return the policy of a service of the stack, whoever runs it."""
    bare_metal = placement.service.requirement.bare_metal
    return InfraServicePolicy(
        name=placement.name,
        kind=placement.service.kind,
        provider=placement.provider.name,
        why=placement.provider.why,
        host=placement.host,
        ports=dict(placement.ports),
        users=tuple(placement.service.users),
        app=INFRA_PREFIX + placement.name if placement.is_ours else None,
        unit=bare_metal.systemd_unit if placement.provider.name == "systemd" and bare_metal else None,
        databases=tuple(database.name for database in infra.databases.get(placement.name, ())),
        password=infra.passwords.get(placement.name),
        container=_container(server),
    )


def _container(server: PlannedProcess | None) -> ContainerPolicy | None:
    spec = server.native.document if server and server.native else None
    return ContainerPolicy(spec.name, spec.volumes) if isinstance(spec, ContainerSpec) else None


def _server(name: str, names: StackNames, processes: tuple[PlannedProcess, ...]) -> AppPolicy:
    """Return the policy of a server of the stack, which is an app like any other for who looks at it."""
    return AppPolicy(
        name=name,
        mode=model.INFRA,
        enabled=True,
        critical=False,
        depends_on=(),
        priority=0,
        target=None,
        gate=names.gate(name) if name != GATEWAY else None,
        processes=tuple(_process(process, names) for process in processes),
        watch=None,
    )


def _app(
    app: App,
    names: StackNames,
    processes: tuple[PlannedProcess, ...],
    infra: Infra,
    *,
    is_needed: bool,
    watch: WatchPolicy | None,
) -> AppPolicy:
    used = [placement for placement in infra.used_by(app.name) if placement.is_waited_for and placement.is_ours]
    return AppPolicy(
        name=app.name,
        mode="bootstrap" if app.system else "classic",
        enabled=app.entry.enabled,
        critical=any(process.critical for process in processes),
        depends_on=(*(INFRA_PREFIX + placement.name for placement in used), *app.entry.depends_on),
        priority=processes[0].stop_priority if processes else 0,
        target=names.app_target(app.name) if len(processes) > 1 else None,
        gate=names.gate(app.name) if is_needed else None,
        processes=tuple(_process(process, names) for process in processes),
        watch=watch,
    )


def _process(process: PlannedProcess, names: StackNames) -> ProcessPolicy:
    policy = process.restarts
    record = f"{names.prefix_part}/{process.record(names.group_record) or process.unit}{CRASH_RECORD}"
    return ProcessPolicy(
        name=process.name,
        unit=process.unit,
        instances=process.pool,
        slice=process.slice,
        sockets=process.socket_units,
        control=runtime_folder(*process.address) if process.hosted else None,
        port=next((listener.port for listener in process.listeners if listener.port), None),
        critical=process.critical,
        stop_timeout=process.stop_timeout,
        # A process host pings its watchdog instead of being asked.
        retries=process.probe.retries if process.probe and not process.hosted else 0,
        restarts=RestartsPolicy(
            enabled=policy.enabled,
            restart=policy.restart,
            max_restarts=policy.max_restarts,
            window=policy.window,
            backoff=policy.backoff_text,
            record=record if policy.has_record else None,
        ),
        scaling=_scaling(process),
        secrets=process.secrets,
    )


def _scaling(process: PlannedProcess) -> ScalingPolicy | None:
    """Return how a pool follows the load, None for one of a fixed size."""
    scaling = process.scaling
    if scaling is None or scaling.strategy != "auto" or process.pool is None:
        return None
    return ScalingPolicy(
        max_instances=min(max(scaling.max_instances or 4 * process.pool, process.pool), model.MAX_INSTANCES),
        target_cpu=scaling.target_cpu,
        target_memory=scaling.target_memory,
        queue_threshold=scaling.queue_threshold,
        cooldown=scaling.cooldown_period,
        memory_max=process.limits.memory_max if isinstance(process.limits.memory_max, int) else None,
    )
