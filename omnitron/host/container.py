"""Creates the services of a module: finds the marked classes, and passes each constructor its dependencies."""

from __future__ import annotations

import inspect
import logging
import types
import typing
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from omnitron.host.config import Config
from omnitron.host.context import Context
from omnitron.host.decorators import Topology, name_of
from omnitron.host.rpc.methods import ServiceError

SUPPORTED = (
    'it can be a Context, Config, logging.Logger, another service of the module, or Annotated[..., topology("Name")]'
)


def service_classes(module: ModuleType) -> list[type]:
    """Return the service classes in a module's namespace, in the order of their definition."""
    marked_classes = [value for value in vars(module).values() if name_of(value) is not None]
    classes: dict[str, type] = {}
    for cls in dict.fromkeys(marked_classes):
        name = str(name_of(cls))
        if name in classes:
            other = classes[name]
            raise ServiceError(
                f"cannot serve {name}: {cls.__qualname__} ({_where(cls)}) and {other.__qualname__} ({_where(other)}) "
                "have this name",
                hint="give one of them another name",
            )
        classes[name] = cls
    return list(classes.values())


def build(classes: Iterable[type], context: Context) -> dict[str, object]:
    """Return an instance of each service class by its name; a service that another needs is created first."""
    maker = _Maker(list(classes), context)
    return {str(name_of(cls)): maker.make(cls) for cls in maker.classes}


class _Maker:
    def __init__(self, classes: list[type], context: Context) -> None:
        self.classes = classes
        self._context = context
        self._made: dict[type, object] = {}
        self._making: list[type] = []

    def make(self, cls: type) -> object:
        if cls in self._made:
            return self._made[cls]
        if cls in self._making:
            circle = " needs ".join(
                str(name_of(service)) for service in [*self._making[self._making.index(cls) :], cls]
            )
            raise ServiceError(f"cannot make the services: {circle} ({_where(cls)})")
        self._making.append(cls)
        try:
            self._made[cls] = cls(**self._arguments(cls))
        finally:
            self._making.pop()
        return self._made[cls]

    def _arguments(self, cls: type) -> dict[str, Any]:
        if cls.__init__ is object.__init__:  # type: ignore[misc]
            return {}
        try:
            hints = typing.get_type_hints(cls.__init__, include_extras=True)  # type: ignore[misc]
        except Exception as error:
            raise _cannot(cls, f"its annotations cannot be read: {error}") from error
        arguments = {}
        for parameter in inspect.signature(cls).parameters.values():
            fits, value = self._value(hints.get(parameter.name))
            if fits:
                arguments[parameter.name] = value
            elif parameter.default is parameter.empty and parameter.kind not in (
                parameter.VAR_POSITIONAL,
                parameter.VAR_KEYWORD,
            ):
                raise _cannot(cls, f"there is no value for its parameter {parameter.name!r}", SUPPORTED)
        return arguments

    def _value(self, annotation: Any) -> tuple[bool, Any]:
        """Return whether there is a value for an annotation, and the value."""
        context = self._context
        if typing.get_origin(annotation) is typing.Annotated:
            interface, *marks = typing.get_args(annotation)
            mark = next((mark for mark in marks if isinstance(mark, Topology)), None)
            return (True, context.topology(mark.service, interface)) if mark else self._value(interface)
        if typing.get_origin(annotation) in (typing.Union, types.UnionType):
            values = [self._value(option) for option in typing.get_args(annotation)]
            return next((value for value in values if value[0]), (False, None))
        kinds: Mapping[type, Any] = {Context: context, Config: context.config, logging.Logger: context.logger}
        if annotation in kinds:
            return True, kinds[annotation]
        if annotation in self.classes:
            return True, self.make(annotation)
        return False, None


def _cannot(cls: type, why: str, hint: str | None = None) -> ServiceError:
    return ServiceError(f"cannot make {cls.__qualname__} ({_where(cls)}): {why}", hint=hint)


def _where(cls: type) -> str:
    try:
        return f"{inspect.getsourcefile(cls)}:{inspect.getsourcelines(cls)[1]}"
    except (OSError, TypeError):  # a class without a source file
        return cls.__module__
