"""The compiled policy of a stack: what runs, supervised how, for every part that must not load a definition.

A plain JSON document, written beside the units by `generate`; the runtime verbs and the watcher read
nothing else of a definition. Times are in milliseconds.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from omnitron.definition.loader import App, Ecosystem, absolute
from omnitron.gateway.routes import Site
from omnitron.infra.placement import Placed
from omnitron.infra.redis_numbers import label
from omnitron.infra.resolve import Infra
from omnitron.names import CRASH_RECORD, GATEWAY, INFRA
from omnitron.planner.checks.ports import Claim
from omnitron.planner.facts import HostFacts
from omnitron.planner.resolve.host_spec import runtime_folder
from omnitron.planner.resolve.order import start_order
from omnitron.planner.resolve.process import PlannedProcess
from omnitron.planner.resolve.watched_files import watched
from omnitron.planner.units.names import StackNames
from omnitron.planner.units.stack import Apps

VERSION = 1


def compile_policy(
    ecosystem: Ecosystem,
    names: StackNames,
    apps: Apps,
    needed: frozenset[str],
    infra: Infra,
    site: Site | None,
    claims: tuple[Claim, ...],
    facts: HostFacts,
) -> dict[str, Any]:
    """Return the policy of one stack; apps are in the order in which they start, after the servers they use."""
    supervision, metrics = ecosystem.config.supervision, ecosystem.config.monitoring.metrics
    members = {name: ecosystem.by_name[name] for name in apps if name in ecosystem.by_name}
    order = start_order({name: app.entry.depends_on for name, app in members.items()})
    return {
        "version": VERSION,
        "project": names.project,
        "stack": names.stack,
        "type": ecosystem.config.stacks[names.stack].type,
        "prefix": names.prefix,
        "source": str(ecosystem.path),
        "target": names.stack_target,
        "slice": names.stack_slice,
        "criticalTarget": names.critical_target,
        "logNamespace": names.log_namespace,
        "strategy": supervision.strategy,
        "maxRestarts": supervision.max_restarts,
        "window": supervision.window,
        "metrics": {
            "interval": metrics.interval,
            "retention": round(metrics.retention * 1000),
            "prometheus": _prometheus(ecosystem),
        },
        "infra": [
            _service(placed, infra, next(iter(apps.get(INFRA + placed.name, ())), None)) for placed in infra.services
        ],
        "ports": {claim.label: claim.port for claim in claims},
        "redisNumbers": {label(use): number for use, number in infra.numbers.items()},
        "maintenance": asdict(site.redis) if site and site.redis else None,
        "apps": [
            *(_server(name, names, apps[name]) for name in apps if name not in members),
            *(
                {
                    **_app(members[name], names, apps[name], name in needed, infra),
                    "watch": watched(ecosystem, names.stack, members[name], facts),
                }
                for name in order
            ),
        ],
    }


def _prometheus(ecosystem: Ecosystem) -> dict[str, Any] | None:
    asked = ecosystem.config.monitoring.metrics.prometheus
    if asked is None:
        return None
    host = asked.host.removeprefix("[").removesuffix("]")
    return {"host": host, "port": asked.port, "tokenFile": str(absolute(ecosystem.folder, asked.token_file))}


def _service(placed: Placed, infra: Infra, server: PlannedProcess | None) -> dict[str, Any]:
    """Return what is told of a service of the stack, whoever runs it."""
    container = None
    if placed.provider.name == "docker" and server and server.native:
        told = json.loads(server.native.spec)
        container = {key: told[key] for key in ("name", "volumes")}
    return {
        "name": placed.name,
        "kind": placed.service.kind,
        "provider": placed.provider.name,
        "why": placed.provider.why,
        "host": placed.host,
        "ports": dict(placed.ports),
        "users": list(placed.service.users),
        "app": INFRA + placed.name if placed.is_ours else None,
        "unit": placed.service.requirement.bare_metal.systemd_unit
        if placed.provider.name == "systemd" and placed.service.requirement.bare_metal
        else None,
        "databases": [one.name for one in infra.databases.get(placed.name, ())],
        "password": infra.passwords.get(placed.name),
        "container": container,
    }


def _server(name: str, names: StackNames, processes: tuple[PlannedProcess, ...]) -> dict[str, Any]:
    """Return the policy of a server of the stack, which is an app like any other for who looks at it."""
    return {
        "name": name,
        "mode": "infra",
        "enabled": True,
        "critical": False,
        "dependsOn": [],
        "priority": 0,
        "target": None,
        "gate": names.gate(name) if name != GATEWAY else None,
        "processes": [_process(process, names) for process in processes],
        "watch": None,
    }


def _app(
    app: App, names: StackNames, processes: tuple[PlannedProcess, ...], is_needed: bool, infra: Infra
) -> dict[str, Any]:
    used = [one for one in infra.used_by(app.name) if one.is_waited_for and one.is_ours]
    return {
        "name": app.name,
        "mode": "bootstrap" if app.system else "classic",
        "enabled": app.entry.enabled,
        "critical": any(process.critical for process in processes),
        "dependsOn": [*(INFRA + one.name for one in used), *app.entry.depends_on],
        "priority": processes[0].stop_priority if processes else 0,
        "target": names.app_target(app.name) if len(processes) > 1 else None,
        "gate": names.gate(app.name) if is_needed else None,
        "processes": [_process(process, names) for process in processes],
    }


def _process(process: PlannedProcess, names: StackNames) -> dict[str, Any]:
    policy = process.restarts
    record = f"{names.prefix_part}/{process.record(names.group_record) or process.unit}{CRASH_RECORD}"
    return {
        "name": process.name,
        "unit": process.unit,
        "instances": process.pool,
        "slice": process.slice,
        "sockets": list(process.socket_units),
        "control": runtime_folder(*process.address) if process.hosted else None,
        "port": next((listener.port for listener in process.listeners if listener.port), None),
        "critical": process.critical,
        "stopTimeout": process.stop_timeout,
        "health": _health(process),
        "scaling": _scaling(process),
        "secrets": list(process.secrets),
        "restarts": {
            "enabled": policy.enabled,
            "restart": policy.restart,
            "maxRestarts": policy.max_restarts,
            "window": policy.window,
            "backoff": policy.backoff_text,
            "record": record if policy.has_record else None,
        },
    }


def _health(process: PlannedProcess) -> dict[str, Any] | None:
    """Return how a process is asked from outside while it runs: a process host pings its watchdog instead."""
    probe = process.probe
    if probe is None or process.hosted:
        return None
    return {
        "retries": probe.retries,
    }


def _scaling(process: PlannedProcess) -> dict[str, Any] | None:
    """Return how a pool follows the load, None for one of a fixed size."""
    scaling = process.scaling
    if scaling is None or scaling.strategy != "auto" or process.pool is None:
        return None
    return {
        "maxInstances": max(scaling.max_instances or 4 * process.pool, process.pool),
        "targetCPU": scaling.target_cpu,
        "targetMemory": scaling.target_memory,
        "queueThreshold": scaling.queue_threshold,
        "cooldown": scaling.cooldown_period,
        "memoryMax": process.limits.memory_max if isinstance(process.limits.memory_max, int) else None,
    }
