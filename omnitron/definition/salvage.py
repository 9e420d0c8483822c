"""The rest of a definition in which something is wrong: the parts that can be judged all the same.

A part is a field of the whole, one entry of a mapping in it (a stack), or a field of an app or process.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from omnitron.definition.source import KeyPath

STAND_INS: dict[str, Any] = {"project": "_", "name": "_", "apps": [], "processes": [], "stacks": {}}
"""In place of what a model cannot do without, or whose default would be judged like the user's words."""

RESTS_ON = {"cwd": ("bootstrap", "script"), "transports": ("health",)}
"""Fields of an app or process that mean nothing without another one."""


def without(data: Any, wrong: Iterable[KeyPath]) -> Any:
    """Return `data` without the parts that the paths `wrong` lie in; items of a list keep their places."""
    if not isinstance(data, dict):
        return data
    rest = copy.deepcopy(data)
    for part in {_part(data, path) for path in wrong}:
        match part:
            case (str(field),):
                rest.pop(field, None)
                rest |= {key: copy.copy(value) for key, value in STAND_INS.items() if key == field}
            case (str(field), int(index)):
                rest[field][index] = {"name": f"_{index}"}
            case (str(field), str(key)):
                del rest[field][key]
            case (str(field), int(index), str(key)):
                for lost in (key, *RESTS_ON.get(key, ())):
                    rest[field][index].pop(lost, None)
    return rest


def _part(data: dict[str, Any], path: KeyPath) -> KeyPath:
    if len(path) > 1 and isinstance(path[1], int):
        is_item = len(path) == 2 or path[2] == "name"
        return path[:2] if is_item else path[:3]
    has_entry = len(path) > 1 and isinstance(data[str(path[0])], dict) and path[1] in data[str(path[0])]
    return path[:2] if has_entry else path[:1]
