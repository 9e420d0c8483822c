"""The documents that `generate` writes for other programs of omnitron: from their types to JSON and back.

A document is a frozen dataclass of strings, numbers, paths, tuples, mappings and further dataclasses. Its keys are
the names of the fields in camel case. A field that has its default is left out, so that a new field changes no file
that makes no use of it: the names of some files hold a digest of the text, and a service restarts with another name.

Reading is strict. Every change of a type that an older omnitron could not read takes a new VERSION, so whatever does
not fit in a file of our own version was damaged or edited.
"""

from __future__ import annotations

import json
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

from omnitron.errors import NotPermittedError, OmnitronError
from omnitron.supervision.state import trusted_files

AGAIN = "`omnitron generate` writes it again"


@dataclass(frozen=True)
class Document:
    """Base of what fills a file."""

    VERSION: ClassVar[int]
    """Its format."""


D = TypeVar("D", bound=Document)
Decoder = Callable[[Any], Any]


class PolicyFileError(OmnitronError):
    """A file of ours that cannot be used: it is missing, damaged, or of an older or a newer omnitron."""


class _MismatchError(ValueError):
    """A value that is not of its type; `path` leads to it."""

    def __init__(self, why: str, path: tuple[str, ...] = ()) -> None:
        super().__init__(f"{'.'.join(path)}: {why}" if path else why)
        self.why, self.path = why, path

    def below(self, key: str) -> _MismatchError:
        return _MismatchError(self.why, (key, *self.path))


def marshal(document: Document, *, indent: int | None = None) -> str:
    """Return the text of a document, a line at its end."""
    data = {"version": document.VERSION, **_encode(document)}
    return json.dumps(data, ensure_ascii=False, indent=indent) + "\n"


def unmarshal(kind: type[D], content: str | bytes, name: str) -> D:
    """Return the document that `content` is the text of; PolicyFileError calls it `name`."""
    try:
        data = json.loads(content, parse_constant=_refuse_constant)
        version = data.pop("version") if isinstance(data, dict) and "version" in data else None
        if type(version) is not int:
            raise _MismatchError("it has no version")
        if version == kind.VERSION:
            return cast(D, _decoder(cast(Any, kind))(data))
    # Deeply nested JSON ends in a RecursionError, an enormous number in an OverflowError.
    except (ValueError, RecursionError, OverflowError) as error:
        raise PolicyFileError(f"cannot read {name}: it is damaged: {_reason(error)}", hint=AGAIN) from error
    if version > kind.VERSION:
        hint = f"use that one, or `omnitron generate`: this one reads format {kind.VERSION}, not {version}"
        raise PolicyFileError(f"cannot read {name}: a newer omnitron wrote it", hint=hint)
    raise PolicyFileError(f"cannot read {name}: an older omnitron wrote it", hint=AGAIN)


def read(path: Path | str, kind: type[D]) -> D:
    """Return the document in the file at `path`; PolicyFileError, or NotPermittedError, when it cannot be used."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - a program may have its path as text
            content = file.read()
    except PermissionError as error:
        raise NotPermittedError(f"cannot read {path}: permission denied", hint="use sudo") from error
    except OSError as error:
        trusted_files.raise_exhausted(error)
        why = (error.strerror or str(error)).lower()
        raise PolicyFileError(f"cannot read {path}: {why}", hint=AGAIN) from error
    return unmarshal(kind, content, str(path))


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return "it is no text" if isinstance(error, UnicodeError) else str(error)


def _refuse_constant(text: str) -> None:
    raise _MismatchError(f"{text} is no number")


def _encode(value: Any) -> Any:
    if is_dataclass(value):
        return {
            _key(field): _encode(getattr(value, field.name))
            for field in fields(value)
            if getattr(value, field.name) != _default(field)
        }
    if isinstance(value, Mapping):
        return {key: _encode(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_encode(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _key(field: Field[Any]) -> str:
    first, *rest = field.name.split("_")
    return first + "".join(word.capitalize() for word in rest)


@cache
def _decoder(kind: Any) -> Decoder:
    """Return the function that makes a value of JSON one of the type `kind`, or raises _MismatchError."""
    if is_dataclass(kind):
        return _dataclass_decoder(cast("type[Any]", kind))
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return _union_decoder(parts)
    if origin is typing.Literal:
        return _choice_decoder(parts)
    if origin is tuple:
        return _tuple_decoder(parts)
    if origin is not None and issubclass(cast(type, origin), Mapping):
        return _mapping_decoder(_decoder(parts[1]))
    return _SCALARS[kind]


def _dataclass_decoder(kind: type[Any]) -> Decoder:
    hints = typing.get_type_hints(kind)
    by_key = {_key(field): (field.name, _decoder(hints[field.name])) for field in fields(kind)}
    needed = [_key(field) for field in fields(kind) if field.default is field.default_factory is MISSING]

    def decode(value: Any) -> Any:
        if not isinstance(value, dict):
            raise _MismatchError("it is no object")
        arguments = {}
        for key, item in value.items():
            if key not in by_key:
                raise _MismatchError("there is no such key", (key,))
            name, decode_field = by_key[key]
            try:
                arguments[name] = decode_field(item)
            except _MismatchError as error:
                raise error.below(key) from None
        if missing := [key for key in needed if key not in value]:
            raise _MismatchError("it is missing", (missing[0],))
        try:
            return kind(**arguments)
        except ValueError as error:
            raise _MismatchError(str(error)) from None

    return decode


def _union_decoder(parts: tuple[Any, ...]) -> Decoder:
    *others, last = (_decoder(part) for part in parts if part is not types.NoneType)
    is_optional = types.NoneType in parts

    def decode(value: Any) -> Any:
        if value is None and is_optional:
            return None
        for other in others:
            try:
                return other(value)
            except _MismatchError:
                continue
        return last(value)

    return decode


def _choice_decoder(choices: tuple[Any, ...]) -> Decoder:
    def decode(value: Any) -> Any:
        if value not in choices:
            raise _MismatchError(f"it is none of {', '.join(choices)}")
        return value

    return decode


def _tuple_decoder(parts: tuple[Any, ...]) -> Decoder:
    if parts[-1] is ...:
        item = _decoder(parts[0])
        return lambda value: tuple(_items(value, [item] * len(value) if isinstance(value, list) else []))
    each = [_decoder(part) for part in parts]
    return lambda value: tuple(_items(value, each))


def _items(value: Any, decoders: list[Decoder]) -> list[Any]:
    if not isinstance(value, list) or len(value) != len(decoders):
        raise _MismatchError("it is no list of the right length")
    decoded = []
    for index, (decode, item) in enumerate(zip(decoders, value, strict=True)):
        try:
            decoded.append(decode(item))
        except _MismatchError as error:
            raise error.below(str(index)) from None
    return decoded


def _mapping_decoder(item: Decoder) -> Decoder:
    def decode(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _MismatchError("it is no object")
        decoded = {}
        for key, inner in value.items():
            try:
                decoded[_text(key)] = item(inner)
            except _MismatchError as error:
                raise error.below(key) from None
        return decoded

    return decode


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _MismatchError("it is no text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _MismatchError("it is no text") from None
    return value


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise _MismatchError("it is no number")
    return cast(float, value)


def _exact(kind: type[Any], word: str) -> Decoder:
    def decode(value: Any) -> Any:
        # True is an int for isinstance.
        if type(value) is not kind:
            raise _MismatchError(f"it is no {word}")
        return value

    return decode


_SCALARS: dict[Any, Decoder] = {
    str: _text,
    int: _exact(int, "integer"),
    float: _number,
    bool: _exact(bool, "truth value"),
    Path: lambda value: Path(_text(value)),
    Any: lambda value: value,
}
