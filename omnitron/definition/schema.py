"""JSON Schema and field documentation, both from the models and the docstrings of their fields."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any, get_args

from pydantic import BaseModel

from omnitron.definition.app import AppConfig, System
from omnitron.definition.ecosystem import EcosystemConfig
from omnitron.definition.fields import HOSTED, LATER

ROOTS: dict[str, type[BaseModel]] = {"ecosystem": EcosystemConfig, "system": System, "app": AppConfig}
DIALECT = "https://json-schema.org/draft/2020-12/schema"

NOTES = {LATER: " Has no effect in this version.", HOSTED: " For processes with a module."}


def json_schema(kind: str) -> dict[str, Any]:
    """Return the JSON Schema of a definition file: `ecosystem`, `system` or `app`."""
    root = ROOTS[kind]
    schema = root.model_json_schema(by_alias=True)
    definitions = schema.get("$defs", {})
    for model in models_of(root):
        part = schema if model is root else definitions.get(model.__name__)
        if part:
            _describe(part, model)
    return {"$schema": DIALECT, **schema}


def _describe(part: dict[str, Any], model: type[BaseModel]) -> None:
    part["description"] = inspect.cleandoc(model.__doc__ or "")
    for name, text in field_docs(model).items():
        key = model.model_fields[name].alias or name
        if key in part.get("properties", {}):
            part["properties"][key] |= {"description": text + NOTES.get(mark_of(model, name), "")}


def mark_of(model: type[BaseModel], name: str) -> str:
    """Return `LATER` for a field that has no effect yet, `HOSTED` for one of module processes only, else nothing."""
    extra = model.model_fields[name].json_schema_extra
    return next((mark for mark in NOTES if isinstance(extra, dict) and extra.get(mark)), "")


def models_of(root: type[BaseModel]) -> list[type[BaseModel]]:
    """Return a model and all that it is made of, in the order of their first use."""
    models: dict[type[BaseModel], None] = {root: None}
    pending = [root]
    while pending:
        model = pending.pop(0)
        for field in model.model_fields.values():
            for inner in _models_in(field.annotation):
                if inner not in models:
                    models[inner] = None
                    pending.append(inner)
    return list(models)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


@cache
def field_docs(model: type[BaseModel]) -> dict[str, str]:
    """Return the docstring of each field of a model, its parents' included, by its Python name."""
    docs: dict[str, str] = {}
    for parent in reversed(model.__mro__):
        if issubclass(parent, BaseModel) and parent is not BaseModel:
            docs |= _attribute_docstrings(parent)
    return {name: docs[name] for name in model.model_fields if name in docs}


def _attribute_docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Read the docstrings below a class's attributes. pydantic can, but at every start."""
    tree = ast.parse(inspect.getsource(model))
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    docs = {}
    for statement, following in pairwise(body):
        is_text = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and is_text:
            docs[statement.target.id] = inspect.cleandoc(str(following.value.value))  # type: ignore[attr-defined]
    return docs
