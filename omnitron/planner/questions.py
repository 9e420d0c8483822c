"""The questions about the host that a definition raises: pure lists, which are answered before planning.

A question that nobody answers never opens a door: a path of which nothing is known is out of reach.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from omnitron import names
from omnitron.definition.project import App, Ecosystem
from omnitron.gateway.routes import default_page, files
from omnitron.infra.resolve import Infra
from omnitron.planner.facts import HostFacts, Module, ServerSettings
from omnitron.planner.plan import local_stacks
from omnitron.planner.resolve import program as programs
from omnitron.planner.resolve.host_spec import exposing, key_file
from omnitron.planner.resolve.watched_files import watched
from omnitron.planner.units import gateway, infra_service, secrets


@dataclass(frozen=True)
class DefinitionQuestions:
    """Questions that follow from a definition alone."""

    interpreters: frozenset[Path]
    """Paths at which there may be the interpreter of a virtual environment."""
    modules: frozenset[Module]
    """Modules whose services are offered to other processes."""
    paths: frozenset[Path]
    """Paths of which kind and owner matter."""


@dataclass(frozen=True)
class HostQuestions:
    """Questions that follow from a definition on a host, its programs and virtual environments being known."""

    read: frozenset[Path]
    """Files and folders that the system's manager, or a server of the stack, reads because the definition says so."""
    secrets: frozenset[str]
    """Stems of the stacks that need stored secrets."""
    settings: frozenset[ServerSettings]
    """Settings that a server of the host's has to accept."""


def of_definition(ecosystem: Ecosystem, facts: HostFacts, chosen: Iterable[str] | None = None) -> DefinitionQuestions:
    """Return the questions about the chosen stacks; `facts` say how they are planned: for whom, in development."""
    stacks = local_stacks(ecosystem, chosen)
    interpreters: set[Path] = set()
    modules: set[Module] = set()
    paths: set[Path] = set()
    for stack in stacks:
        for app in ecosystem.apps_of(stack):
            interpreters.update(_interpreters(ecosystem, app))
            if app.entry.watch and (watch := watched(ecosystem, stack, app, facts)):
                paths.update(map(Path, watch.folders))
        modules.update(module for _, _, module in exposing(ecosystem, stack))
    if ecosystem.gateway:
        paths.update(path for path in files(ecosystem, default_page(ecosystem)) if path)
    return DefinitionQuestions(frozenset(interpreters), frozenset(modules), frozenset(paths))


def _interpreters(ecosystem: Ecosystem, app: App) -> Iterator[Path]:
    if app.entry.script and app.entry.script.endswith(programs.PYTHON_SUFFIX):
        yield from programs.interpreters(app.folder, app.source.path.parent)
    if any(process.module for process in (app.system.processes if app.system else ())):
        yield from programs.interpreters(app.working_directory, ecosystem.folder)


def of_host(
    ecosystem: Ecosystem, facts: HostFacts, chosen: Iterable[str] | None = None, *, installs: bool
) -> HostQuestions:
    """Return the questions about the chosen stacks; those about secrets and servers where they are to be installed."""
    read: set[Path] = set()
    stems: set[str] = set()
    settings: set[ServerSettings] = set()
    for stack in local_stacks(ecosystem, chosen):
        if not facts.is_user:
            read.update(_key_files(ecosystem, stack))
        if not installs and not ecosystem.gateway:
            continue
        infra = infra_service.infra_of(ecosystem, stack, facts)
        if (site := gateway.site_of(ecosystem, stack, infra, {}, facts)) and not facts.is_user:
            read.update(gateway.files_of(site))
        if installs:
            settings.update(_settings(infra))
            if next(secrets.required(ecosystem, stack, infra), None):
                stems.add(names.unit_stem(ecosystem.config.unit_prefix, stack))
    return HostQuestions(frozenset(read), frozenset(stems), frozenset(settings))


def _key_files(ecosystem: Ecosystem, stack: str) -> Iterator[Path]:
    for system in filter(None, (app.system for app in ecosystem.apps_of(stack))):
        for process in system.processes:
            if process.module and (path := key_file(ecosystem, system, process)):
                yield path


def _settings(infra: Infra) -> Iterator[ServerSettings]:
    return (settings for placement in infra.services if (settings := infra_service.checked_settings(placement)))
