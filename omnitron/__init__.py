"""Supervise whole systems on Linux hosts: one definition, compiled to native systemd units.

This is what definitions import; it loads only what is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from omnitron.version import __version__

if TYPE_CHECKING:
    from omnitron.definition.authoring import define_ecosystem, define_system
    from omnitron.definition.rules import DefineSystemError

__all__ = ["DefineSystemError", "__version__", "define_ecosystem", "define_system"]

_HOMES = {
    "define_ecosystem": "omnitron.definition.authoring",
    "define_system": "omnitron.definition.authoring",
    "DefineSystemError": "omnitron.definition.rules",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'omnitron' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
