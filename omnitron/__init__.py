"""Supervise whole systems on Linux hosts: one definition, compiled to native systemd units.

This is what definitions and modules import; it loads only what is asked for.
"""

from __future__ import annotations

from omnitron.version import __version__

# Importing `typing` would take longer than all that a helper of systemd's does.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from omnitron.definition.authoring import define_ecosystem, define_system
    from omnitron.definition.rules import DefineSystemError
    from omnitron.host.auth.identity import requires
    from omnitron.host.config import Config
    from omnitron.host.context import Context
    from omnitron.host.decorators import service, topology
    from omnitron.host.rpc.calls import Call, current_call
    from omnitron.host.rpc.errors import RpcError
    from omnitron.host.rpc.proxy import Proxy

__all__ = [
    "Call",
    "Config",
    "Context",
    "DefineSystemError",
    "Proxy",
    "RpcError",
    "__version__",
    "current_call",
    "define_ecosystem",
    "define_system",
    "requires",
    "service",
    "topology",
]

_HOMES = {
    "define_ecosystem": "omnitron.definition.authoring",
    "define_system": "omnitron.definition.authoring",
    "DefineSystemError": "omnitron.definition.rules",
    "Call": "omnitron.host.rpc.calls",
    "Config": "omnitron.host.config",
    "Context": "omnitron.host.context",
    "Proxy": "omnitron.host.rpc.proxy",
    "RpcError": "omnitron.host.rpc.errors",
    "current_call": "omnitron.host.rpc.calls",
    "requires": "omnitron.host.auth.identity",
    "service": "omnitron.host.decorators",
    "topology": "omnitron.host.decorators",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'omnitron' has no attribute {name!r}")
    from importlib import import_module  # 0.3 ms, which the helpers of systemd's do without

    return getattr(import_module(_HOMES[name]), name)
