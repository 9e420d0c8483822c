"""The settings of a preset's server: our defaults, what the definition says, and what it may not say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from omnitron.errors import Problem
from omnitron.infra.services import Service
from omnitron.secrets import references

DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "postgres": {
        "max_connections": 200,
        "shared_buffers": "256MB",
        "idle_in_transaction_session_timeout": "60s",
    },
    "redis": {"appendonly": "yes", "maxmemory-policy": "allkeys-lru"},
    "minio": {},
}
OURS: Mapping[str, frozenset[str]] = {
    "postgres": frozenset(
        {
            "port",
            "listen_addresses",
            "unix_socket_directories",
            "hba_file",
            "ident_file",
            "data_directory",
            "config_file",
        }
    ),
    "redis": frozenset({"port", "bind", "dir", "daemonize", "supervised", "requirepass", "logfile"}),
    "minio": frozenset(),
}
DATABASES = "databases"
"""A key of `config` that means something to us."""
SETTING = re.compile(r"[a-z][a-z0-9_.-]{0,62}")
LEAST_DATABASES = 16


def settings_of(service: Service) -> dict[str, str]:
    """Return the server's settings, with the names that it gives them: `maxConnections` is `max_connections`."""
    declared = {name_of(service, key): value for key, value in service.requirement.config.items()}
    merged = {**DEFAULTS[service.kind], **declared}
    return {key: _written(value) for key, value in merged.items() if key != DATABASES}


def redis_databases(service: Service, used: Iterable[int]) -> int:
    """Return how many databases a Redis server of ours has: as it says, or as many as are used."""
    declared = service.requirement.config.get(DATABASES)
    return (
        declared
        if isinstance(declared, int) and not isinstance(declared, bool)
        else max([LEAST_DATABASES, *(number + 1 for number in used)])
    )


def name_of(service: Service, key: str) -> str:
    """Return the name that the server gives a setting: `max_connections` for `maxConnections`."""
    if service.kind == "redis":
        return re.sub(r"(?<=[a-z0-9])([A-Z])", r"-\1", key).lower()
    # PostgreSQL takes one for the other on its command line, and not in its file.
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", key).lower().replace("-", "_")


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def problems(service: Service) -> Iterator[Problem]:
    """Yield what cannot be written into the configuration of a server."""
    for key, value in service.requirement.config.items():
        name = name_of(service, key)
        at = (*service.at, "config", key)
        if key == DATABASES:
            continue
        if service.kind == "minio":
            message, cure = f"cannot set {key}: MinIO has its settings in its environment", "docker: {environment: …}"
            yield service.source.problem(at, message, cure)
        elif references.OPENING in str(value):
            yield service.source.problem(at, f"cannot set {name}: a setting is no place for a secret")
        elif not SETTING.fullmatch(name):
            yield service.source.problem(at, f"cannot set {key!r}: that is no name of a setting")
        elif name in OURS[service.kind] or name.startswith("include"):
            yield service.source.problem(at, f"cannot set {name}: omnitron sets it itself")
        elif not isinstance(value, str | int | float | bool) or not str(value).isprintable():
            yield service.source.problem(at, f"cannot set {name}: its value is no number and no line of text")
