"""From a plan to the texts of every file, each with the place that it belongs to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from omnitron.planner.plan import StackPlan
from omnitron.planner.spec_files import spec_name
from omnitron.planner.units import health_sweep
from omnitron.planner.units.gateway import config_name
from omnitron.planner.units.values import Unit
from omnitron.policy.codec import marshal
from omnitron.policy.store import file_name
from omnitron.render.gateway import nginx_configuration
from omnitron.render.templates import fill, plain
from omnitron.supervision.state.probes import marshal as marshal_probes

Place = Literal["units", "policy", "journald", "bus", "sysusers"]


@dataclass(frozen=True)
class File:
    """A file to install: its place, its name there, its text, and what a running service depends on."""

    place: Place
    name: str
    text: str
    run_digest: str | None = None
    """Digest of the `[Service]` section; a service that runs with another one is out of date."""


def render(stack: StackPlan) -> tuple[File, ...]:
    """Return all files of a stack: units, the compiled policy, the settings of its journal."""
    files = [*map(render_unit, stack.units), File("policy", file_name(stack.names.stem), marshal(stack.policy))]
    for process in (process for processes in stack.apps.values() for process in processes):
        if spec := process.spec:
            name = spec_name(stack.names.stem, process.app, process.name, spec)
            files.append(File("policy", name, spec.text))
    for name, probes in health_sweep.probes(stack.names, stack.apps):
        files.append(File("policy", name, marshal_probes(probes)))
    if stack.site:
        text = nginx_configuration(stack.site, stack.names.source.text)
        files.append(File("policy", config_name(stack.names.stem), text))
    if stack.journal_settings:
        source = stack.names.source.text
        files.append(File("journald", stack.names.stem, _journald(stack.journal_settings, source)))
    if stack.brings_bus:
        files += bus_files()
    return tuple(files)


def bus_files() -> list[File]:
    """Return what gives the watcher its place on the bus: who may own its name and call it, and a group for that."""
    return [
        File("bus", "dev.omnitron.Watcher1.conf", plain("dev.omnitron.Watcher1.conf")),
        File("sysusers", "omnitron.conf", plain("sysusers.conf")),
    ]


def render_unit(unit: Unit) -> File:
    """Return the file of one unit; its digest stands in the text."""
    text = fill(unit)
    digest = service_digest(text)
    return File("units", unit.name, text.removesuffix("@\n") + (digest or _short(text)) + "\n", digest)


def service_digest(text: str) -> str | None:
    """Return the digest of what a service is run with, None for a unit that runs nothing."""
    if "\n[Service]\n" not in text:
        return None
    return _short(text.partition("\n[Service]\n")[2].partition("\n[X-Omnitron]\n")[0])


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _journald(settings: Iterable[tuple[str, str]], source: str) -> str:
    lines = [
        f"# Made by omnitron from {source}.",
        "[Journal]",
        *(f"{key}={value}" for key, value in settings),
    ]
    return "\n".join(lines) + "\n"
