"""Reads the compiled policies that `generate` wrote. The files are made by `omnitron.planner.policy`.

Keys that this version does not know are passed over.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from omnitron.errors import NotPermittedError, OmnitronError
from omnitron.policy.model import (
    MAX_INSTANCES,
    AppPolicy,
    InfraServicePolicy,
    MaintenancePolicy,
    PortPolicy,
    ProcessPolicy,
    RestartsPolicy,
    ScalingPolicy,
    StackPolicy,
    WatchPolicy,
)
from omnitron.supervision.state import trusted_files

T = TypeVar("T")

VERSION = 1
"""The newest format that is understood."""


def read_policies(folders: Iterable[Path], damaged: Callable[[OmnitronError], None] | None = None) -> list[StackPolicy]:
    """Return what is installed, by name of the file; the first folder that has a stack wins, as for unit files.

    A damaged file is passed over and told to `damaged`, or raises OmnitronError without one; a folder that is not
    there is empty.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        for path in _files(folder):
            found.setdefault(path.name, path)
    policies = []
    for name in sorted(found):
        try:
            policies.append(_read(found[name]))
        except OmnitronError as error:
            if damaged is None:
                raise
            damaged(error)
    return policies


def _files(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if _is_policy(path)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except PermissionError as error:
        raise NotPermittedError(f"cannot list {folder}: permission denied", hint="use sudo") from error


def _is_policy(path: Path) -> bool:
    """Whether a file is a policy: prefix and stack have no dash there (`unit_part`), other files of a stack have."""
    return path.suffix == ".json" and path.stem.count("-") == 1 and not path.name.startswith(".")


def _read(path: Path) -> StackPolicy:
    try:
        data = json.loads(path.read_bytes())
        if data["version"] <= VERSION:
            return _stack(path, data)
    except PermissionError as error:
        raise NotPermittedError(f"cannot read {path}: permission denied", hint="use sudo") from error
    except OSError as error:
        trusted_files.raise_exhausted(error)
        raise _damaged(path) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise _damaged(path) from error
    raise OmnitronError(
        f"cannot tell what is installed: a newer omnitron wrote {path}", hint="use that one, or generate again"
    )


def _damaged(path: Path) -> OmnitronError:
    return OmnitronError(
        f"cannot tell what is installed: {path} is damaged", hint="`omnitron generate` writes it again"
    )


def _stack(path: Path, data: Mapping[str, Any]) -> StackPolicy:
    return StackPolicy(
        path=path,
        project=str(data["project"]),
        stack=str(data["stack"]),
        type=str(data["type"]),
        prefix=str(data["prefix"]),
        source=Path(data["source"]),
        target=str(data["target"]),
        slice=str(data["slice"]),
        critical_target=str(data["criticalTarget"]),
        log_namespace=_optional(str, data["logNamespace"]),
        strategy=str(data["strategy"]),
        max_restarts=int(data["maxRestarts"]),
        window=int(data["window"]),
        sample_interval=int(data.get("metrics", {}).get("interval", 5_000)),
        retention=int(data.get("metrics", {}).get("retention", 3_600_000)),
        prometheus=_optional(_port, data.get("metrics", {}).get("prometheus")),
        apps=tuple(_app(app) for app in data["apps"]),
        infra=tuple(_service(service) for service in data.get("infra", ())),
        ports={str(label): int(port) for label, port in data.get("ports", {}).items()},
        redis_numbers={str(use): int(number) for use, number in data.get("redisNumbers", {}).items()},
        maintenance=_optional(_maintenance, data.get("maintenance")),
    )


def _maintenance(data: Mapping[str, Any]) -> MaintenancePolicy:
    credential = _optional(str, data["credential"])
    return MaintenancePolicy(str(data["host"]), int(data["port"]), int(data["database"]), credential)


def _service(data: Mapping[str, Any]) -> InfraServicePolicy:
    return InfraServicePolicy(
        name=str(data["name"]),
        kind=str(data["kind"]),
        provider=str(data["provider"]),
        why=str(data["why"]),
        host=str(data["host"]),
        ports={str(name): int(port) for name, port in data["ports"].items()},
        users=tuple(data["users"]),
        app=_optional(str, data["app"]),
        unit=_optional(str, data["unit"]),
        databases=tuple(data["databases"]),
        password=_optional(str, data["password"]),
        container=data.get("container"),
    )


def _app(data: Mapping[str, Any]) -> AppPolicy:
    return AppPolicy(
        name=str(data["name"]),
        mode=str(data["mode"]),
        enabled=bool(data["enabled"]),
        critical=bool(data["critical"]),
        depends_on=tuple(data["dependsOn"]),
        priority=int(data["priority"]),
        target=_optional(str, data["target"]),
        gate=_optional(str, data["gate"]),
        processes=tuple(_process(process) for process in data["processes"]),
        watch=_optional(_watch, data.get("watch")),
    )


def _process(data: Mapping[str, Any]) -> ProcessPolicy:
    restarts = data["restarts"]
    return ProcessPolicy(
        name=str(data["name"]),
        unit=str(data["unit"]),
        instances=_optional(_count, data["instances"]),
        slice=str(data["slice"]),
        sockets=tuple(data["sockets"]),
        control=_optional(str, data.get("control")),
        port=_optional(int, data["port"]),
        critical=bool(data["critical"]),
        stop_timeout=int(data["stopTimeout"]),
        retries=int((data.get("health") or {}).get("retries", 0)),
        restarts=RestartsPolicy(
            enabled=bool(restarts["enabled"]),
            restart=str(restarts["restart"]),
            max_restarts=int(restarts["maxRestarts"]),
            window=int(restarts["window"]),
            backoff=str(restarts["backoff"]),
            record=_optional(str, restarts["record"]),
        ),
        scaling=_optional(_scaling, data.get("scaling")),
        secrets=tuple(data.get("secrets", ())),
    )


def _port(data: Mapping[str, Any]) -> PortPolicy:
    return PortPolicy(str(data["host"]), int(data["port"]), str(data["tokenFile"]))


def _watch(data: Mapping[str, Any]) -> WatchPolicy:
    folders, ignore, excepted = (tuple(data[key]) for key in ("folders", "ignore", "except"))
    return WatchPolicy(folders, ignore, excepted, int(data["debounce"]), _optional(int, data.get("owner")))


def _scaling(data: Mapping[str, Any]) -> ScalingPolicy:
    return ScalingPolicy(
        max_instances=_count(data["maxInstances"]),
        target_cpu=float(data["targetCPU"]),
        target_memory=float(data["targetMemory"]),
        queue_threshold=max(1, int(data["queueThreshold"])),
        cooldown=int(data["cooldown"]),
        memory_max=_optional(int, data["memoryMax"]),
    )


def _count(value: Any) -> int:
    if not 1 <= int(value) <= MAX_INSTANCES:
        raise ValueError(f"not a number of instances: {value}")
    return int(value)


def _optional(kind: Callable[[Any], T], value: Any) -> T | None:
    return None if value is None else kind(value)
