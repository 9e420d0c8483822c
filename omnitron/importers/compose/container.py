"""Turns a compose service without a program on the host into a container under `infrastructure`."""

from __future__ import annotations

from typing import Any

from omnitron.importers import fields
from omnitron.importers.compose import health
from omnitron.importers.compose.environment import environment
from omnitron.importers.compose.services import Project, Service
from omnitron.importers.document import Entry
from omnitron.importers.quantities import size, span
from omnitron.importers.report import Section

NO_FIELD = "a container under `infrastructure` has no such field"
ENGINE_RESTARTS = ("always", "unless-stopped")
"""Restart policies that change nothing: such a container is restarted anyway."""


def convert(service: Service, project: Project) -> Entry:
    """Return the container; each missing setting is a comment in it, and a warning."""
    section = service.section
    entry = Entry(image=section.text("image") or "")
    mapped = (_port(entry, item) for item in section.mixed("ports"))
    if ports := [text for text in mapped if text]:
        entry["ports"] = ports
    fields.put(entry, "environment", environment(section, project))
    mounts = (_volume(entry, item) for item in section.mixed("volumes"))
    if volumes := [text for text in mounts if text]:
        entry["volumes"] = volumes
    _command(entry, section)
    if check := health.read(section, entry):
        _health(entry, section, check)
    _resources(entry, section)
    _depends_on(entry, section, project)
    if section.data.get("restart") in ENGINE_RESTARTS:
        section.value("restart")
    section.leave_rest(entry, NO_FIELD)
    return entry


def _command(entry: Entry, section: Section) -> None:
    command = section.value("command")
    if isinstance(command, str):
        entry["command"] = section.text("command")
    elif command is not None:
        entry["command"] = section.texts("command")
    if section.data.get("entrypoint") is not None:
        section.left(entry, "entrypoint", NO_FIELD)


def _port(entry: Entry, port: Section | str) -> str:
    if isinstance(port, str):
        return port
    parts = (port.text("host_ip"), port.text("published"), port.text("target"))
    protocol = port.text("protocol")
    port.leave_rest(entry, NO_FIELD, "ports")
    return ":".join(part for part in parts if part) + (f"/{protocol}" if protocol else "")


def _volume(entry: Entry, volume: Section | str) -> str | None:
    if isinstance(volume, str):
        return volume
    if volume.text("type") not in ("bind", "volume"):
        volume.left(entry, "type", NO_FIELD, "volumes")
        return None
    parts = (volume.text("source"), volume.text("target"), "ro" if volume.flag("read_only") else None)
    volume.leave_rest(entry, NO_FIELD, "volumes")
    return ":".join(part for part in parts if part)


def _health(entry: Entry, section: Section, check: health.Check) -> None:
    if check.command is None:
        section.left(entry, "healthcheck", "a check cannot be switched off in a container under `infrastructure`")
        return
    test = check.command if isinstance(check.command, str) else ["CMD", *check.command]
    settings = Entry(test=test)
    times = {"interval": check.interval, "timeout": check.timeout, "startPeriod": check.start_period}
    settings.update((key, span(value)) for key, value in times.items() if value is not None)
    if check.retries is not None:
        settings["retries"] = check.retries
    entry["healthCheck"] = settings


def _resources(entry: Entry, section: Section) -> None:
    keys = {"memory": "mem_limit", "memoryReservation": "mem_reservation", "shmSize": "shm_size"}
    sizes = {field: section.parsed(key, size) for field, key in keys.items()}
    resources = Entry((field, value) for field, value in sizes.items() if value is not None)
    cpus = section.number("cpus")
    if cpus and cpus > 0:
        resources["cpus"] = cpus
    _deployed(resources, entry, section)
    if resources:
        entry["resources"] = resources


def _deployed(resources: Entry, entry: Entry, section: Section) -> None:
    deploy = section.section("deploy")
    inner = deploy.section("resources") if deploy else None
    if deploy is None:
        return
    if inner is not None:
        limits, reserved = inner.section("limits"), inner.section("reservations")
        values: dict[str, Any] = {
            "memory": limits and limits.parsed("memory", size),
            "memoryReservation": reserved and reserved.parsed("memory", size),
            "cpus": (limits and limits.number("cpus")) or None,
        }
        resources.update((key, value) for key, value in values.items() if value is not None)
        for part in filter(None, (limits, reserved, inner)):
            part.leave_rest(entry, NO_FIELD)
    deploy.leave_rest(entry, NO_FIELD)


def _depends_on(entry: Entry, section: Section, project: Project) -> None:
    value = section.data.get("depends_on")
    names = list(value) if isinstance(value, dict) else section.texts("depends_on")
    section.value("depends_on")
    chosen = []
    for position, name in enumerate(names):
        other = project.services.get(name)
        at = section.path("depends_on", name if isinstance(value, dict) else position)
        if other is None:
            section.report.wrong(at, f"cannot depend on {name!r}: there is no such service")
        elif other.kind == "container" and other.called not in chosen:
            chosen.append(other.called)
        elif other.kind != "container":
            why = "a container depends on containers only"
            entry.comment(f"depends_on {name}: cannot be carried over: {why}", "dependsOn")
            section.report.warn(at, f"cannot be carried over: {why}")
    if chosen:
        entry["dependsOn"] = chosen
