"""The changes of an app's `dev` block: its port, its level of logging, its environment."""

from __future__ import annotations

from dataclasses import replace

from omnitron.definition.app import Dev, Process, ProcessLogging, ProcessObservability, System
from omnitron.definition.process import HttpTransport, Transports
from omnitron.definition.project import App


def in_development(app: App) -> App:
    """Return an app with the `dev` block of its system applied, over all else that is said of its environment."""
    if app.system is None or app.system.dev is None:
        return app
    env = {**app.entry.env, **app.system.dev.env}
    return replace(app, system=_system(app.system, app.system.dev), entry=app.entry.model_copy(update={"env": env}))


def _system(system: System, dev: Dev) -> System:
    """Return a system with its `dev` block applied: to all processes, the port to the first that has HTTP."""
    processes = [_settings(process, dev) for process in system.processes]
    first = next((number for number, item in enumerate(processes) if _http(item)), None)
    if dev.port is not None and first is not None:
        processes[first] = _with_port(processes[first], dev.port)
    return system.model_copy(update={"processes": processes, "env": {**system.env, **dev.env}})


def _settings(process: Process, dev: Dev) -> Process:
    update: dict[str, object] = {"env": {**process.env, **dev.env}}
    if dev.log_level is not None:
        observability = process.observability or ProcessObservability()
        logging = ProcessLogging(level=dev.log_level)
        update["observability"] = observability.model_copy(update={"logging": logging})
    return process.model_copy(update=update)


def _http(process: Process) -> HttpTransport | None:
    return process.transports.http if process.transports else None


def _with_port(process: Process, port: int) -> Process:
    http = _http(process)
    transports = process.transports or Transports()
    changed = transports.model_copy(update={"http": http and http.model_copy(update={"port": port})})
    return process.model_copy(update={"transports": changed})
