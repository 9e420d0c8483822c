"""Turns a compose service into an app."""

from __future__ import annotations

import contextlib
import posixpath
import re
import signal
from collections.abc import Iterator

from omnitron import names
from omnitron.importers import command_line, fields
from omnitron.importers.compose import health, limits, unsupported
from omnitron.importers.compose.environment import environment
from omnitron.importers.compose.services import Project, Service
from omnitron.importers.document import Entry
from omnitron.importers.host_files import account, group
from omnitron.importers.quantities import go_duration, span
from omnitron.importers.report import Section

BIND = re.compile(r"(?P<source>(?:\.{1,2}|/)[^:]*):(?P<target>/[^:]*)(?::.*)?")
SHELLS = ("sh", "/bin/sh", "bash", "/bin/bash")
REALTIME_SIGNAL = re.compile(r"SIGRTM(?:IN\+|AX-)\d{1,2}")


def convert(service: Service, project: Project, entry: Entry) -> None:
    """Fill `entry` from the service."""
    section = service.section
    _command(entry, service.argv)
    section.unread -= {"command", "entrypoint"}
    _folder(entry, service, project)
    _look_for_program(entry, section, project)
    _user(entry, section)
    fields.put(entry, "env", environment(section, project))
    _depends_on(entry, service, project)
    check = health.read(section, entry)
    if check:
        health.give(entry, section, check)
    _stop(entry, section)
    limits.give(entry, section)
    if section.texts("profiles"):
        entry["enabled"] = False
        section.changed(entry, "profiles", "there are no profiles here: it is not started with the others", "enabled")
    _leave_rest(entry, section)


def _command(entry: Entry, argv: list[str]) -> None:
    if len(argv) == 3 and argv[0] in SHELLS and argv[1] == "-c":
        with contextlib.suppress(ValueError):
            fields.set_command(entry, command_line.command(argv[2], argv[0]))
            return
    entry["command"] = argv


def _look_for_program(entry: Entry, section: Section, project: Project) -> None:
    program = entry["command"][0]
    if "/" not in program or project.around.home_file(entry.get("cwd", ""), program):
        return
    message = f"there is no program {program} on this host yet"
    entry.comment(message, "command")
    section.report.warn(section.path("command"), message)


def _leave_rest(entry: Entry, section: Section) -> None:
    for key in section.rest():
        if key in unsupported.NOT_NEEDED:
            entry.comment(f"{key}: not needed: {unsupported.NOT_NEEDED[key]}")
        else:
            section.left(entry, key, unsupported.LEFT.get(key, unsupported.UNKNOWN))


def _folder(entry: Entry, service: Service, project: Project) -> None:
    section = service.section
    working_dir = section.text("working_dir")
    inside = working_dir or service.image.folder
    mounted = _on_host(section, inside) if inside else None
    folder = project.around.working_directory(mounted) if mounted else None
    if folder is None:
        folder = project.around.working_directory(service.context or ".")
        if working_dir:
            section.left(entry, "working_dir", "it is a folder of the image; the app runs in the project's folder")
    folder = project.around.working_directory() if folder is None else folder
    if folder:
        entry["cwd"] = folder


def _on_host(section: Section, inside: str) -> str | None:
    """Return the folder of the host that is mounted at `inside`, or above it."""
    for source, target in _binds(section):
        relative = posixpath.relpath(inside, target) if inside.startswith("/") else ".."
        if relative != ".." and not relative.startswith("../"):
            return posixpath.join(source, relative)
    return None


def _binds(section: Section) -> Iterator[tuple[str, str]]:
    volumes = section.data.get("volumes")
    for volume in volumes if isinstance(volumes, list) else []:
        if isinstance(volume, str) and (match := BIND.fullmatch(volume)):
            yield match["source"], match["target"]
        elif isinstance(volume, dict) and volume.get("type") == "bind":
            source, target = volume.get("source"), volume.get("target")
            if isinstance(source, str) and isinstance(target, str) and target.startswith("/"):
                yield source, target


def _user(entry: Entry, section: Section) -> None:
    text = section.text("user")
    if not text:
        return
    user, _, its_group = text.partition(":")
    accounts = {"user": account(user), "group": group(its_group)}
    for key, name in accounts.items():
        if name and names.why_not_a_name(name):
            section.left(entry, "user", f"{name!r} is not the name of a {key}")
            return
    entry.update((key, name) for key, name in accounts.items() if name)
    entry.comment(f"user: {text}: a user of the image; it must exist on this host too", "user" if user else "group")


def _depends_on(entry: Entry, service: Service, project: Project) -> None:
    section = service.section
    value = section.data.get("depends_on")
    inner = section.section("depends_on") if isinstance(value, dict) else None
    dependencies = list(inner.data) if inner else section.texts("depends_on")
    chosen: list[str] = []
    for position, name in enumerate(dependencies):
        at = section.path("depends_on", name if inner else position)
        other = project.services.get(name)
        details = (inner.section(name) if inner else None) or Section(section.report, at, {}, section.root)
        if other is None:
            if details.flag("required") is not False:
                section.report.wrong(at, f"cannot depend on {name!r}: there is no such service")
            continue
        why = _why_not_depend(other, details.text("condition") or "service_started", details)
        if why:
            entry.comment(f"depends_on {name}: cannot be carried over: {why}", "dependsOn")
            section.report.warn(at, f"cannot be carried over: {why}")
        elif other.called not in chosen:
            chosen.append(other.called)
        if details.flag("restart"):
            details.left(entry, "restart", "a restart of an app does not touch those that depend on it", "dependsOn")
    if chosen:
        entry["dependsOn"] = chosen


def _why_not_depend(other: Service, condition: str, details: Section) -> str | None:
    """Return why an app cannot depend on `other`, or None; an app waits until the other one is healthy."""
    if condition not in ("service_started", "service_healthy", "service_completed_successfully"):
        details.wrong("condition", f"cannot be {condition[:60]!r}: there is no such condition")
    if other.kind == "container":
        return "it is a container under `infrastructure`, and an app can only depend on an app"
    if other.kind == "nothing":
        return "that service could not be carried over"
    if condition == "service_completed_successfully":
        return "an app that has ended is not healthy: run it before, or from the app's own command"
    if not other.enabled:
        return "that app is not started with the others"
    return None


def _stop(entry: Entry, section: Section) -> None:
    grace = section.parsed("stop_grace_period", go_duration)
    if grace is not None:
        entry["shutdown"] = Entry(timeout=span(grace))
    name = section.parsed("stop_signal", signal_name)
    if name not in (None, "SIGTERM"):
        fields.set_directive(entry, "KillSignal", str(name))


def signal_name(text: str) -> str:
    """Return the name of a signal, given by its name or number; raises ValueError."""
    name = text.upper()
    if re.fullmatch(r"[0-9]{1,2}", name):
        return signal.Signals(int(name)).name
    name = name if name.startswith("SIG") else f"SIG{name}"
    if name not in signal.Signals.__members__ and not REALTIME_SIGNAL.fullmatch(name):
        raise ValueError(f"is not a signal: {text[:60]!r}")
    return name
