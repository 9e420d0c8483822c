"""The context of a process of the host, for what asks for one."""

from __future__ import annotations

from pathlib import Path

from omnitron.host.config import Config
from omnitron.host.context import Context
from omnitron.host.telemetry.metrics import Registry


def context() -> Context:
    return Context(
        project="shop",
        stack="dev",
        app="api",
        process="main",
        instance=None,
        version=None,
        config=Config([], folder=Path("/"), environ={}),
        metrics=Registry(),
        topology=lambda name, interface: ("proxy", name, interface),
    )
