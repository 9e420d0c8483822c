"""The methods of services, with decoders for their parameters and checks of their results."""

from __future__ import annotations

import copy
import functools
import inspect
import logging
import typing
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from omnitron.errors import OmnitronError
from omnitron.host.auth.identity import required_roles
from omnitron.host.decorators import name_of

log = logging.getLogger(__name__)


class ServiceError(OmnitronError):
    """A service that cannot be served as it is written."""

    exit_code = 3


@dataclass(frozen=True, slots=True)
class Method:
    """One method that can be called."""

    name: str
    """`Orders.place`."""
    function: Callable[..., Awaitable[Any]]
    by_name: msgspec.json.Decoder[Any]
    by_position: msgspec.json.Decoder[Any]
    keywords: int
    """The number of its keyword-only parameters; they come last."""
    result: Any
    """The annotated type of its result; `Any` is not checked."""
    roles: frozenset[str] | None

    def arguments(self, params: bytes) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Decode the `params` member of a request; raises msgspec.MsgspecError for a wrong value."""
        decoder = self.by_position if params[:1] == b"[" else self.by_name
        parameters = decoder.decode(params or b"{}")
        values = msgspec.structs.astuple(parameters)
        if not self.keywords:
            return values, {}
        split = len(values) - self.keywords
        return values[:split], dict(zip(parameters.__struct_fields__[split:], values[split:], strict=True))

    def checked(self, value: Any) -> Any:
        """Return the method's result, converted to its annotation; raises msgspec.ValidationError otherwise."""
        return value if self.result is Any else msgspec.convert(value, self.result)


def methods_of(service: object) -> Iterator[Method]:
    """Yield the methods of a service object; raises ServiceError for one that cannot be described."""
    cls = type(service)
    name = name_of(cls)
    for attribute in dir(cls):
        function = inspect.getattr_static(cls, attribute)
        if not attribute.startswith("_") and inspect.iscoroutinefunction(function):
            marks = [roles for marked in (cls, function) if (roles := required_roles(marked)) is not None]
            roles = frozenset().union(*marks) if marks else None
            yield _method(f"{name}.{attribute}", getattr(service, attribute), function, roles)
        elif not attribute.startswith("_") and inspect.isfunction(function):
            log.warning("%s.%s cannot be called from outside: only an `async def` without `yield` can", name, attribute)


def _method(name: str, bound: Callable[..., Awaitable[Any]], function: Any, roles: frozenset[str] | None) -> Method:
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except Exception as error:
        raise _cannot(name, function, f"its annotations cannot be read: {error}") from error
    fields: list[Any] = []
    keywords = 0
    for parameter in inspect.signature(bound).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise _cannot(name, function, f"*{parameter.name} is not supported: every parameter must have a name")
        keywords += parameter.kind is parameter.KEYWORD_ONLY
        annotation = hints.get(parameter.name, Any)
        if parameter.default is parameter.empty:
            fields.append((parameter.name, annotation))
        else:
            fields.append((parameter.name, annotation, _default(parameter.default)))
    result = hints.get("return", Any)
    try:
        by_name, by_position = _decoders(name, fields)
        msgspec.json.Decoder(result)
    except Exception as error:
        raise _cannot(name, function, str(error)) from error
    return Method(name, bound, by_name, by_position, keywords, result, roles)


def _default(value: Any) -> Any:
    try:
        hash(value)
    except TypeError:  # a mutable value, which all calls would share
        return msgspec.field(default_factory=functools.partial(copy.deepcopy, value))
    return value


def _decoders(name: str, fields: list[Any]) -> tuple[msgspec.json.Decoder[Any], msgspec.json.Decoder[Any]]:
    title = name.replace(".", "_")
    # Keyword-only: there a parameter without a default may follow one with a default.
    named = msgspec.defstruct(title, fields, forbid_unknown_fields=True, kw_only=True)
    names = [field[0] for field in fields]
    required = max((number for number, field in enumerate(fields, 1) if len(field) == 2), default=0)
    positional = [(field[0], field[1]) if number <= required else field for number, field in enumerate(fields, 1)]
    listed = msgspec.defstruct(f"{title}_list", positional, array_like=True, forbid_unknown_fields=True)
    assert list(named.__struct_fields__) == names
    return msgspec.json.Decoder(named), msgspec.json.Decoder(listed)


def _cannot(name: str, function: Any, why: str) -> ServiceError:
    code = inspect.unwrap(function).__code__
    return ServiceError(f"cannot serve {name} ({code.co_filename}:{code.co_firstlineno}): {why}")


def table(services: Mapping[str, object]) -> dict[str, Method]:
    """Return the methods of all services, by their full names."""
    return {method.name: method for service in services.values() for method in methods_of(service)}
