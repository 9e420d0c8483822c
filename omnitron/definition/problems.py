"""Turns what the models refuse into problems: one line each, in the words of a definition."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from omnitron.definition.fields import Model
from omnitron.definition.salvage import without
from omnitron.definition.source import KeyPath, Source, own_key, same_key, value_at
from omnitron.errors import Problem

M = TypeVar("M", bound=Model)

TYPES = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
}
BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
}
KINDS = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "a mapping",
    type(None): "nothing",
}
ELSEWHERE = {
    "port": "transports.http.port",
    "ports": "transports.http.port",
    "environment": "env",
    "cmd": "command",
    "replicas": "instances",
}
"""Keys that others have, and where that is said here."""


def validate(model: type[M], source: Source, data: Any, at: KeyPath = ()) -> tuple[M | None, list[Problem]]:
    """Build `model` from `data`, found at `at` in the source, and say everything that is wrong with it.

    With problems, the model is built from the parts that have none; it is None when no part has.
    """
    problems: list[Problem] = []
    while True:
        try:
            return model.model_validate(data), problems
        except ValidationError as error:
            wrong = _wrong(error, source, at)
        problems = problems or [_problem(model, source, path, len(at), item) for path, item in wrong.items()]
        left = without(data, [path[len(at) :] for path in wrong])
        if left == data:
            return None, problems
        data = left


def _wrong(error: ValidationError, source: Source, at: KeyPath) -> dict[KeyPath, dict[str, Any]]:
    """Return the first error at each place; the members of a union all say theirs.

    A key that is needed and there in another spelling is unknown, not missing.
    """
    groups: dict[KeyPath, dict[str, Any]] = {}
    for item in error.errors(include_url=False):
        path = _real_path(item["loc"], source, at)
        if path not in groups or (groups[path]["type"], item["type"]) == ("missing", "extra_forbidden"):
            groups[path] = dict(item)
    # Where one member of a union got further than another, it is the one that was meant.
    outer = {path[:length] for path in groups for length in range(len(path))}
    return {path: item for path, item in groups.items() if path not in outer}


def _problem(model: type[Model], source: Source, path: KeyPath, start: int, item: dict[str, Any]) -> Problem:
    if item["type"] == "extra_forbidden" and (twin := _twin(source, path)) is not None:
        return source.problem(path, f"cannot use this key: it is there twice, once as {twin!r}")
    return source.problem(path, *_wording(model, item, path[start:]))


def _twin(source: Source, path: KeyPath) -> Any:
    """Return the key beside it that is the same in another spelling, None without one."""
    beside = value_at(source.data, path[:-1])
    keys = beside if isinstance(beside, dict) else ()
    return next((key for key in keys if key != path[-1] and same_key(key, path[-1])), None)


def _real_path(location: tuple[Any, ...], source: Source, at: KeyPath) -> KeyPath:
    """Return the location without what pydantic adds: names of union members, '[key]'."""
    data: Any = value_at(source.data, at)
    path = list(at)
    for position, key in enumerate(location):
        if isinstance(data, dict):
            own = own_key(data, key)
            if own not in data:
                if position == len(location) - 1 and not _is_union_tag(key):
                    path.append(key)
                continue
            path.append(own)
            data = data[own]
        elif isinstance(data, list) and isinstance(key, int) and key < len(data):
            path.append(key)
            data = data[key]
    return tuple(path)


def _is_union_tag(key: Any) -> bool:
    text = str(key)
    return not text or text[0].isupper() or "[" in text or text in ("str", "int", "float", "bool")


def _wording(model: type[Model], item: dict[str, Any], path: KeyPath) -> tuple[str, str | None]:
    kind, value, context = item["type"], item.get("input"), item.get("ctx", {})
    if kind == "extra_forbidden":
        return "cannot use this key: it is unknown", _near_miss(path, _keys_of(model, path[:-1]))
    if kind == "missing":
        return "cannot do without this key: it is missing", None
    if kind == "literal_error":
        choices = [choice.strip("'") for choice in context["expected"].replace(" or ", ", ").split(", ")]
        hint = _near_miss((str(value),), choices)
        return f"cannot be {value!r}: it must be one of {', '.join(choices)}", hint
    if kind == "value_error":
        return f"cannot use this value: {context['error']}", None
    if kind in TYPES:
        return f"cannot be {KINDS.get(type(value), type(value).__name__)}: it must be {TYPES[kind]}", None
    if kind in BOUNDS:
        key, words = BOUNDS[kind]
        return f"cannot be {_short(value)}: it must be {words} {context[key]}", None
    if kind == "string_pattern_mismatch":
        return f"cannot be {_short(value)}: it must match the pattern {context['pattern']}", None
    return f"cannot be {_short(value)}: {item['msg'][0].lower()}{item['msg'][1:]}", None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def near(name: str, candidates: Iterable[str]) -> str | None:
    """Return a hint at the known name that `name` is probably meant to be."""
    close = difflib.get_close_matches(name, sorted(candidates), n=1)
    return f"did you mean {close[0]!r}?" if close else None


def _near_miss(path: KeyPath, candidates: list[str]) -> str | None:
    wrong = str(path[-1])
    ours = ELSEWHERE.get(wrong.lower())
    if ours and ours.partition(".")[0] in candidates:
        return f"it is called {ours!r} here"
    folded = {key.replace("_", "").lower(): key for key in candidates}
    close = difflib.get_close_matches(wrong.replace("_", "").lower(), folded, n=1, cutoff=0.6)
    return f"did you mean {folded[close[0]]!r}?" if close else None


def _keys_of(model: type[Model], path: KeyPath) -> list[str]:
    """Return the keys that the models at `path` take, in the reference's spelling."""
    models: list[type[BaseModel]] = [model]
    for key in path:
        if isinstance(key, int):
            continue
        inner = []
        for candidate in models:
            for name, field in candidate.model_fields.items():
                if same_key(field.alias or name, key):
                    inner += _models_in(field.annotation)
        models = inner or models
    return [field.alias or name for candidate in models for name, field in candidate.model_fields.items()]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]
