"""Secrets in a plan: whether those that a stack refers to are there, and what opens a sealed store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from omnitron.definition.project import Ecosystem
from omnitron.definition.source import KeyPath, Source
from omnitron.errors import Problem
from omnitron.infra.resolve import Infra
from omnitron.planner.facts import HostFacts
from omnitron.planner.units.names import StackNames
from omnitron.planner.units.stack import Apps
from omnitron.planner.units.values import Assignment, Command, Literal, Own, Unit, Value
from omnitron.secrets import from_environment, references
from omnitron.secrets.store import PASSPHRASE_FILE


def problems(ecosystem: Ecosystem, stack: StackNames, infra: Infra, facts: HostFacts) -> Iterator[Problem]:
    """Yield one problem for each place that refers to a secret which is not there."""
    stored = facts.secrets.names.get(stack.stem)
    for source, at, name in required(ecosystem, stack.stack, infra) if stored is not None else ():
        if stored is not None and name not in stored and from_environment.variable(name) not in facts.secrets.variables:
            cure = f"omnitron secret set {name} --stack {stack.stack}"
            yield source.problem(at, f"cannot use the secret {name!r}: the stack {stack.stack} has none", cure)


def required(ecosystem: Ecosystem, stack: str, infra: Infra) -> Iterator[tuple[Source, KeyPath, str]]:
    """Yield every reference to a secret that is not generated: where it is, and to which."""
    return (item for item in _used(ecosystem, stack, infra) if item[2] not in infra.generated)


def _used(ecosystem: Ecosystem, stack: str, infra: Infra) -> Iterator[tuple[Source, KeyPath, str]]:
    """Yield every reference to a secret: where it is, and to which."""
    settings = ecosystem.config.stacks[stack].settings
    places: list[tuple[Source, KeyPath, Mapping[str, str]]] = [
        (ecosystem.source, ("stacks", stack, "settings", "env"), settings.env)
    ]
    for app in ecosystem.apps_of(stack):
        places.append((app.source, ("apps", app.index, "env"), app.entry.env))
        if app.system and app.system_source:
            places.append((app.system_source, ("env",), app.system.env))
            for number, process in enumerate(app.system.processes):
                places.append((app.system_source, ("processes", number, "env"), process.env))
    for source, at, env in places:
        for variable, value in env.items():
            for name in references.names_in(value):
                yield source, (*at, variable), name
    for app_name, env in infra.environment.items():
        needs = infra.needs[app_name]
        for value in env.values():
            for name in references.names_in(value):
                yield *needs.elsewhere, name
    for placement in infra.services:
        for variable, value in infra.containers.get(placement.name, {}).items():
            for name in references.names_in(value):
                yield placement.service.source, (*placement.service.at, "docker", "environment", variable), name
        for item in infra.databases.get(placement.name, ()):
            yield placement.service.source, placement.service.at, item.credential


def opener(stack: StackNames, apps: Apps, facts: HostFacts) -> Iterator[Unit]:
    """Yield the unit that opens a sealed store, for the processes that use one of its secrets."""
    if not facts.secrets.sealed or not any(process.secrets for processes in apps.values() for process in processes):
        return
    store = str(facts.secrets.folder / f"{stack.stem}.sealed")
    place = Own(f"%t/omnitron/.secrets/{stack.stem}")
    values: dict[str, Value] = {
        "description": Literal(f"secrets of stack {stack.stack} of {stack.project}"),
        "source": stack.source,
        "part_of": stack.stack_target,
        "slice": stack.stack_slice,
        "environment": Assignment(PASSPHRASE_FILE, str(facts.secrets.passphrase)) if facts.secrets.passphrase else None,
        "exec_reload": Command((str(facts.host_python), "-P", "-m", "omnitron.programs.secrets", "open", store, place)),
        "exec_start": Command((str(facts.host_python), "-P", "-m", "omnitron.programs.secrets", "open", store, place)),
        "exec_stop_post": Command(("/bin/rm", "-rf", place)),
        **stack.identity(),
    }
    yield Unit(stack.opener, "secrets", values)
