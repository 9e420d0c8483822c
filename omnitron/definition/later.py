"""Names the fields of a definition that are set but have no effect yet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from omnitron.definition.fields import LATER, Model
from omnitron.definition.loader import Ecosystem
from omnitron.definition.source import KeyPath, Source
from omnitron.errors import Problem


def without_effect(ecosystem: Ecosystem) -> list[Problem]:
    """Return one line for each field that is set and does nothing yet, in file order."""
    found = list(_of(ecosystem.source, ecosystem.config, ()))
    for app in ecosystem.apps:
        if app.system and app.system_source:
            found += _of(app.system_source, app.system, ())
        if app.needs and app.needs_source:
            found += _of(app.needs_source, app.needs, ("omnitron",))
    return sorted(set(found))


def _of(source: Source, model: Model, at: KeyPath) -> Iterator[Problem]:
    for name, field in type(model).model_fields.items():
        if name not in model.model_fields_set:
            continue
        path = (*at, field.alias or name)
        value = getattr(model, name)
        extra = field.json_schema_extra
        if isinstance(extra, dict) and extra.get(LATER):
            yield source.problem(path, "has no effect in this version")
        else:
            yield from _inside(source, value, path)


def _inside(source: Source, value: Any, path: KeyPath) -> Iterator[Problem]:
    if isinstance(value, Model):
        yield from _of(source, value, path)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _inside(source, item, (*path, index))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _inside(source, item, (*path, key))
