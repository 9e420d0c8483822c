"""Names the fields of a definition that are set but have no effect: yet, or on this kind of program."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from omnitron.definition.app import Process
from omnitron.definition.fields import HOSTED, LATER, Model
from omnitron.definition.process import Health
from omnitron.definition.project import App, Ecosystem
from omnitron.definition.source import KeyPath, Source
from omnitron.errors import Problem


def without_effect(ecosystem: Ecosystem) -> list[Problem]:
    """Return one line for each field that is set and does nothing, in file order."""
    problems = list(_of(ecosystem.source, ecosystem.config, (), hosted=False, without="apps"))
    for app in ecosystem.apps:
        hosted = _has_module(app)
        problems += _of(ecosystem.source, app.entry, ("apps", app.index), hosted=hosted)
        if app.system and app.system_source:
            problems += _of(app.system_source, app.system, (), hosted=hosted)
        if app.needs and app.needs_source:
            problems += _of(app.needs_source, app.needs, ("omnitron",), hosted=hosted)
    return sorted(set(problems))


def _has_module(app: App) -> bool:
    return any(process.module for process in app.system.processes) if app.system else False


def _of(source: Source, model: Model, at: KeyPath, *, hosted: bool, without: str | None = None) -> Iterator[Problem]:
    """Yield what is without effect in `model`; `hosted` says whether it is about a process with a `module`."""
    if isinstance(model, Process):
        hosted = model.module is not None
    if isinstance(model, Health):
        hosted = hosted or model.probe is not None
    for name, field in type(model).model_fields.items():
        if name not in model.model_fields_set or name == without:
            continue
        path = (*at, field.alias or name)
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        if extra.get(LATER):
            yield source.problem(path, "has no effect in this version")
        elif extra.get(HOSTED) and not hosted:
            needs = "a module or a health probe" if isinstance(model, Health) else "a module"
            yield source.problem(path, f"has no effect: only processes with {needs} have it")
        else:
            yield from _inside(source, getattr(model, name), path, hosted)


def _inside(source: Source, value: Any, path: KeyPath, hosted: bool) -> Iterator[Problem]:
    if isinstance(value, Model):
        yield from _of(source, value, path, hosted=hosted)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _inside(source, item, (*path, index), hosted)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _inside(source, item, (*path, key), hosted)
