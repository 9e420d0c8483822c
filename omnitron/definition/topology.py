"""Services that processes offer to each other and need of each other: checks that they fit together in every stack."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from omnitron.definition.app import Process, System
from omnitron.definition.fields import Model
from omnitron.definition.paths import is_folder
from omnitron.definition.problems import near, validate
from omnitron.definition.project import App, Ecosystem
from omnitron.definition.service_scan import find_module, is_path, services_in
from omnitron.definition.source import KeyPath, Source
from omnitron.errors import Problem


@dataclass(frozen=True)
class _Member:
    """One process of a bootstrap app."""

    app: str
    source: Source
    at: KeyPath
    process: Process
    folders: tuple[Path, ...]
    """Folders in which its module is searched."""
    exposed: frozenset[str] | None
    """Services that it offers; None when they cannot be known."""

    def __str__(self) -> str:
        return f"{self.app}:{self.process.name}"


def problems(ecosystem: Ecosystem) -> Iterator[Problem]:
    """Yield what is wrong with the modules of processes, and with what they expose and access."""
    members = [member for app in ecosystem.apps for member in _members(app)]
    for member in members:
        yield from _module(member)
        yield from _of_modules_only(member)
    for stack in ecosystem.config.stacks:
        running = {app.name for app in ecosystem.apps_of(stack)}
        here = [member for member in members if member.app in running]
        yield from _exposed_twice(here)
        yield from _access(ecosystem, stack, here)


def _members(app: App) -> Iterator[_Member]:
    if not app.system or not app.system_source:
        return
    folders = tuple(dict.fromkeys((app.system_source.path.parent, app.folder, app.working_directory)))
    for index, process in enumerate(app.system.processes):
        exposed = _services(process, folders) if _exposes(process) else frozenset()
        yield _Member(app.name, app.system_source, ("processes", index), process, folders, exposed)


def _exposes(process: Process) -> bool:
    return bool(process.topology and process.topology.expose and not process.command)


def _services(process: Process, folders: tuple[Path, ...]) -> frozenset[str] | None:
    path = find_module(process.module, folders) if process.module else None
    return services_in(path, folders) if path else None


def _module(member: _Member) -> Iterator[Problem]:
    module = member.process.module
    if not module or member.process.command:
        return
    if is_path(module) and _lies_in_a_folder(module, member.folders) and not find_module(module, member.folders):
        tried = ", ".join(dict.fromkeys(str(folder / module) for folder in member.folders))
        message = f"cannot find the module {module!r}: looked for {tried}"
        yield member.source.problem((*member.at, "module"), message)
    elif _exposes(member.process) and member.exposed == frozenset():
        message = f"cannot expose anything: the module {module!r} declares no service"
        hint = "decorate a class with @service"
        yield member.source.problem((*member.at, "topology", "expose"), message, hint)


def _lies_in_a_folder(module: str, folders: tuple[Path, ...]) -> bool:
    """Return whether a module's path names a folder that exists: a module outside of one may not be there yet."""
    inner = Path(module).parent
    return bool(inner.parts) and any(is_folder(folder / inner) for folder in folders)


def _of_modules_only(member: _Member) -> Iterator[Problem]:
    process = member.process
    if not process.command or process.module:
        return
    topology = process.topology
    declared: dict[KeyPath, object] = {
        ("topology", "expose"): topology and topology.expose,
        ("topology", "access"): topology and topology.access,
        ("auth",): process.auth,
        ("customRoutes",): process.custom_routes,
        ("hooks",): process.hooks,
    }
    for path, value in declared.items():
        if value.model_fields_set if isinstance(value, Model) else value:
            message = f"cannot have {path[-1]} with a command: only a process with a module has it"
            yield member.source.problem((*member.at, *path), message)


def _exposed_twice(members: list[_Member]) -> Iterator[Problem]:
    first: dict[str, _Member] = {}
    for member in members:
        for service in sorted(member.exposed or ()):
            other = first.setdefault(service, member)
            if str(other) != str(member):
                message = f"cannot expose the service {service!r} from {member}: {other} does in the same stack"
                yield member.source.problem((*member.at, "topology", "expose"), message)


def _access(ecosystem: Ecosystem, stack: str, members: list[_Member]) -> Iterator[Problem]:
    offered: set[str] = set()
    for member in members:
        if member.exposed is None:
            return
        offered |= member.exposed
    lacking = [(member, index, name) for member in members for index, name in _needs(member) if name not in offered]
    if not lacking or not _is_whole(ecosystem, stack):
        return
    where = f" in the stack {stack!r}" if len(ecosystem.config.stacks) > 1 else ""
    there = (
        f"there are {', '.join(sorted(offered))}" if len(offered) > 1 else f"there is {min(offered, default='none')}"
    )
    for member, index, name in lacking:
        message = f"nobody{where} exposes the service {name!r}; {there}"
        yield member.source.problem((*member.at, "topology", "access", index), message, near(name, offered))


def _needs(member: _Member) -> Iterator[tuple[int, str]]:
    process = member.process
    return enumerate(process.topology.access if process.topology and not process.command else [])


def _is_whole(ecosystem: Ecosystem, stack: str) -> bool:
    """Return whether all apps of a stack could be read; one that could not might expose anything."""
    apps = ecosystem.apps_of(stack)
    chosen = ecosystem.config.stacks[stack].apps
    if chosen != "all" and len({app.name for app in apps}) < len(set(chosen)):
        return False
    return all(_was_read(app) for app in apps)


def _was_read(app: App) -> bool:
    if app.entry.bootstrap is None:
        return bool(app.entry.script or app.entry.command)
    if app.system is None or app.system_source is None:
        return False
    _, wrong = validate(System, app.system_source, app.system_source.data)
    return not wrong
