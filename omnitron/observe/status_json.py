"""The shapes that status is published in: `DaemonStatusDto` and what is in it. Memory in bytes, uptime in ms."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from omnitron import names
from omnitron.observe.conditions import ConditionKind, as_data, text_of
from omnitron.observe.report import AppReport, ProcessReport, ServiceReport, StackReport
from omnitron.version import __version__


def daemon_status(stacks: list[StackReport], *, uptime: float, pid: int) -> dict[str, Any]:
    """Return a `DaemonStatusDto`. The daemon is systemd: `pid` and `uptime` (seconds) are its own."""
    apps = [process_info(app, name) for app, name in shortest_names(stacks)]
    return {
        "version": __version__,
        "pid": pid,
        "uptime": round(uptime * 1000),
        "apps": apps,
        "totalCpu": round(sum(app["cpu"] for app in apps), 2),
        "totalMemory": sum(app["memory"] for app in apps),
    }


def shortest_names(stacks: list[StackReport]) -> list[tuple[AppReport, str]]:
    """Return each app with the shortest name that means it alone."""
    apps = [app for stack in stacks for app in stack.apps]
    short_names = names.shortest([(app.stack.project, app.stack.stack, app.policy.name) for app in apps])
    return list(zip(apps, short_names, strict=True))


def process_info(app: AppReport, name: str) -> dict[str, Any]:
    """Return a `ProcessInfoDto` of one app."""
    services = app.services
    info: dict[str, Any] = {
        "name": name,
        "pid": next((service.pid for service in services if service.pid), None),
        "status": app.status,
        "cpu": round(sum(service.cpu for service in services), 2),
        "memory": sum(service.memory for service in services),
        "uptime": round(1000 * min((s.uptime for s in services if s.status == "online"), default=0.0)),
        "restarts": sum(service.restarts for service in services),
        "instances": len(services),
        "port": next((process.policy.port for process in app.processes if process.policy.port), None),
        "mode": app.policy.mode,
        "critical": app.policy.critical,
        "condition": as_data(app.condition),
    }
    if app.policy.mode == "bootstrap":
        info["processes"] = [sub for process in app.processes for sub in _sub_processes(process)]
    return info


def _sub_processes(process: ProcessReport) -> list[dict[str, Any]]:
    """Return the `SubProcessInfoDto` of each instance."""
    return [
        {
            "name": process.policy.name if service.instance is None else f"{process.policy.name}@{service.instance}",
            "type": "server" if process.policy.port else "worker",
            "pid": service.pid,
            "status": service.status,
            "cpu": round(service.cpu, 2),
            "memory": service.memory,
            "uptime": round(service.uptime * 1000),
            "restarts": service.restarts,
            "condition": as_data(service.condition),
        }
        for service in process.services
    ]


HEALTH = {
    "online": ("healthy", "pass"),
    "starting": ("degraded", "warn"),
    "stopping": ("degraded", "warn"),
    "stopped": ("unhealthy", "fail"),
    "errored": ("unhealthy", "fail"),
    "crashed": ("unhealthy", "fail"),
}
"""Health of a process, and the result of its check, for each state."""


def aggregated_health(named: list[tuple[AppReport, str]], *, timestamp: int) -> dict[str, Any]:
    """Return an `AggregatedHealthDto`; `timestamp` in ms. Apps that are not enabled do not count."""
    apps = {name: _health(app) for app, name in named}
    counted = [apps[name]["status"] for app, name in named if app.policy.enabled]
    return {"timestamp": timestamp, "overall": worst_health(counted), "apps": apps}


def _health(app: AppReport) -> dict[str, Any]:
    checks = []
    for service in app.services:
        result = _health_of_service(service)[1]
        message = {"message": text_of(service.condition) or service.status} if result != "pass" else {}
        condition = {"condition": as_data(service.condition)} if service.condition else {}
        checks.append({"name": service.unit, "status": result, **message, **condition})
    return {"status": health_of(app), "checks": checks}


def health_of(app: AppReport) -> str:
    """Return whether an app is `healthy`, `degraded` or `unhealthy`."""
    return worst_health(_health_of_service(service)[0] for service in app.services)


DEGRADES = (
    ConditionKind.CHECKS_FAILING,
    ConditionKind.SELF_REPORTED_DEGRADED,
    ConditionKind.SELF_REPORTED_UNHEALTHY,
)
"""Conditions of a service that runs, and not all well."""


def _health_of_service(service: ServiceReport) -> tuple[str, str]:
    """Return the health of one service, and the result of its check."""
    if service.status == "online" and service.condition and service.condition.kind in DEGRADES:
        return "degraded", "warn"
    return HEALTH[service.status]


def worst_health(healths: Iterable[str]) -> str:
    """Return the health of a whole whose parts have these."""
    states = set(healths)
    return next((state for state in ("unhealthy", "degraded") if state in states), "healthy")


def diagnostics(app: AppReport, name: str, *, source: str, last_exit: dict[str, Any] | None) -> dict[str, Any]:
    """Return an `AppDiagnosticsDto`: what is known of one app. Memory in bytes, uptime in ms."""
    info = process_info(app, name)
    result = {
        "name": name,
        "pid": info["pid"],
        "status": info["status"],
        "memory": {"heapUsed": 0, "heapTotal": 0, "external": 0, "arrayBuffers": 0, "rss": info["memory"]},
        "uptime": info["uptime"],
        "restarts": info["restarts"],
        "condition": info["condition"],
        "services": [],
        "children": [
            {
                "name": process.policy.name,
                "pid": service.pid,
                "serviceName": service.unit,
                "uptimeSeconds": round(service.uptime),
                "condition": as_data(service.condition),
            }
            for process in app.processes
            for service in process.services
        ],
        "logPaths": {"app": f"journal:{','.join(app.policy.services)}", "error": None},
        "config": {
            "mode": info["mode"],
            "instances": info["instances"],
            "critical": info["critical"],
            "port": info["port"],
            "bootstrap": source if info["mode"] == "bootstrap" else None,
        },
    }
    return result | ({"lastExit": last_exit} if last_exit else {})
