"""Functions that a definition written in Python calls: they record its values and their places, and judges little.

The models are not imported here: a definition is evaluated in a process of its own, and checked by
the one that asked for it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from omnitron.definition.rules import DefineSystemError, broken_rules

Kind = Literal["ecosystem", "system"]


@dataclass(frozen=True)
class Declaration:
    """A definition as it was written: keyword arguments or one mapping, and the place of the call."""

    kind: Kind
    values: Mapping[str, Any]
    file: str
    line: int


def define_ecosystem(definition: Mapping[str, Any] | None = None, /, **fields: Any) -> Declaration:
    """Declare the ecosystem of `omnitron.config.py`; see the field reference for what it takes."""
    return Declaration("ecosystem", {**(definition or {}), **fields}, *_caller())


def define_system(definition: Mapping[str, Any] | None = None, /, **fields: Any) -> Declaration:
    """Declare the system of `bootstrap.py`; raises DefineSystemError when it cannot be one."""
    values = {**(definition or {}), **fields}
    for _, message in broken_rules(values):
        raise DefineSystemError(message)
    return Declaration("system", values, *_caller())


def _caller() -> tuple[str, int]:
    frame = sys._getframe(2)
    return frame.f_code.co_filename, frame.f_lineno
