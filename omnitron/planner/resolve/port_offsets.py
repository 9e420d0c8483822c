"""An app on the ports of its stack: each one that it listens on, and the stack's offset for apps."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from omnitron.definition.process import ProcessSettings
from omnitron.definition.project import App

M = TypeVar("M", bound=ProcessSettings)

KINDS = ("http", "websocket")
"""Transports that have a port."""


def with_offset(app: App, offset: int) -> App:
    """Return an app that listens `offset` ports further on."""
    if not offset:
        return app
    system = app.system
    if system:
        system = system.model_copy(
            update={"processes": [_settings_with_offset(process, offset) for process in system.processes]}
        )
    return replace(app, entry=_settings_with_offset(app.entry, offset), system=system)


def _settings_with_offset(settings: M, offset: int) -> M:
    transports = settings.transports
    if transports is None:
        return settings
    update = {
        kind: transport.model_copy(update={"port": transport.port + offset})
        for kind in KINDS
        if (transport := getattr(transports, kind)) and transport.port
    }
    return settings.model_copy(update={"transports": transports.model_copy(update=update)})
