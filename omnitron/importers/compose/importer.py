"""Imports a compose file: services become apps, or containers of the infrastructure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omnitron.definition.check import find_cycle
from omnitron.definition.source import KeyPath, Source
from omnitron.importers import dotenv, fields, naming
from omnitron.importers.compose import app, container, interpolate, unsupported
from omnitron.importers.compose.services import Project, Service, decide
from omnitron.importers.document import Entry, Imported
from omnitron.importers.host_files import Surroundings
from omnitron.importers.naming import Namer
from omnitron.importers.report import Report, Section, shown

ENV_FILE = ".env"
OVERRIDES = (
    "compose.override.yaml",
    "compose.override.yml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)
DEFAULT_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
NOT_SET = "the variable {} is not set: it is replaced by an empty text"
CONTAINERS_NOTE = (
    "These services are images, with no program on this host: omnitron runs them as containers of Docker, and stops\n"
    "and starts them with the stack. Stop them in compose first, or leave them there and remove them here."
)


def convert(source: Source, around: Surroundings, project: str | None = None) -> Imported:
    """Return the definition of a compose file; raises DefinitionError."""
    environ = _environ(source, around)
    report = Report(source)
    data, unset = interpolated(source.data, report, environ)
    top = Section(report, (), data if isinstance(data, dict) else {})
    if not isinstance(data, dict):
        report.wrong((), "cannot import: it is not a mapping with the key 'services'")
    name = top.text("name")
    services = _services(top, around)
    project_name = naming.project(project or name, around.folder)
    whole = Project(report, around, environ, services)
    apps = [_app(service, whole) for service in services.values() if service.kind == "app"]
    _check_order(apps, services, report)
    definition = fields.frame("compose", report, project_name, apps)
    _comment_unset(definition, unset)
    _leave(definition, top, services, around)
    if containers := _containers(services, whole):
        definition["infrastructure"] = Entry(containers=containers)
        definition.comment(CONTAINERS_NOTE, "infrastructure")
    return report.finish(definition)


def _environ(source: Source, around: Surroundings) -> Mapping[str, str]:
    text = around.read(ENV_FILE)
    if text is None:
        return around.environ
    variables = dotenv.compose(source.path.with_name(ENV_FILE), text, around.environ)
    return {name: value for _, name, value in variables if value is not None} | dict(around.environ)


def interpolated(data: Any, report: Report, environ: Mapping[str, str]) -> tuple[Any, dict[str, KeyPath]]:
    """Return `data` with the variables of `environ`, and the place of each variable that is not set."""
    unset: dict[str, KeyPath] = {}
    cache: dict[str, str] = {}

    def text(item: str, at: KeyPath) -> str:
        def note(name: str) -> None:
            unset.setdefault(name, at)

        try:
            return interpolate.substitute(item, environ.get, note)
        except ValueError as error:
            report.wrong(at, f"cannot put variables into this value: {error}")
            return ""

    def value(item: Any, at: KeyPath) -> Any:
        if isinstance(item, dict):
            return {key: value(inner, (*at, key)) for key, inner in item.items()}
        if isinstance(item, list):
            return [value(inner, (*at, index)) for index, inner in enumerate(item)]
        if not isinstance(item, str) or "$" not in item:
            return item
        if item not in cache:
            cache[item] = text(item, at)
        return cache[item]

    result = value(data, ())
    for name, at in unset.items():
        report.warn(at, NOT_SET.format(name))
    return result, unset


def _services(top: Section, around: Surroundings) -> dict[str, Service]:
    """Return the services with their names in the definition; apps and containers have separate names."""
    inner = top.section("services")
    if inner is None or not inner.data:
        if not top.report.problems:
            top.report.wrong((), "cannot import: there are no services in it")
        return {}
    services = {}
    namers = {"app": fields.app_namer(), "container": Namer()}
    for name in inner.data:
        section = inner.section(name)
        if section is None:
            if inner.data[name] is None:
                inner.wrong(name, "cannot be nothing: it must be a mapping")
            continue
        section.root = len(section.at)
        service = decide(name, section, around)
        if service.kind in namers:
            service.called = namers[service.kind].name(name)
        services[name] = service
    return services


def _app(service: Service, project: Project) -> Entry:
    entry = Entry(name=service.called)
    fields.say_renamed(entry, service.name, service.called, project.report, service.section.at, "name")
    app.convert(service, project, entry)
    return entry


def _containers(services: Mapping[str, Service], project: Project) -> Entry:
    containers = Entry()
    for service in services.values():
        if service.kind == "container":
            entry = container.convert(service, project)
            fields.say_renamed(entry, service.name, service.called, project.report, service.section.at, "image")
            containers[service.called] = entry
    return containers


def _check_order(apps: list[Entry], services: Mapping[str, Service], report: Report) -> None:
    loop = find_cycle({entry["name"]: entry.get("dependsOn", []) for entry in apps})
    if loop:
        name = next(service.name for service in services.values() if service.called == loop[0])
        report.wrong(("services", name, "depends_on"), f"cannot order: {' → '.join([*loop, loop[0]])} is a loop")


def _comment_unset(definition: Entry, unset: Mapping[str, KeyPath]) -> None:
    for name, at in unset.items():
        definition.comment(f"{'.'.join(map(str, at))}: {NOT_SET.format(name)}", "project")


def _leave(definition: Entry, top: Section, services: Mapping[str, Service], around: Surroundings) -> None:
    """Add comments and warnings for services that are not imported, and for the other keys of the file."""
    report = top.report
    for service in services.values():
        if service.kind == "nothing":
            message = f"cannot be carried over: {service.why}"
            definition.comment(f"services.{service.name}: {shown(service.section.data)}\n  {message}", "apps")
            report.warn(service.section.at, message)
    top.unread.discard("version")
    for key in top.rest():
        top.left(definition, key, unsupported.TOP_LEVEL.get(key, unsupported.UNKNOWN), "apps")
    if report.source.path.name in DEFAULT_NAMES:
        for name in filter(around.is_file, OVERRIDES):
            message = "cannot be carried over: join it to the file first (docker compose config)"
            definition.comment(f"{name}: {message}", "apps")
            report.warnings.append(dotenv.problem(report.source.path.with_name(name), 0, message))
