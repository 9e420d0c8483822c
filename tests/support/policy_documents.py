"""The policies of two stacks, as the documents that are installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from omnitron.policy.model import StackPolicy


def process(app: str, name: str, instances: int | None = None, stack: str = "dev") -> dict[str, Any]:
    return {
        "name": name,
        "unit": f"omnitron-{stack}-{app}-{name}{'@' if instances else ''}.service",
        "instances": instances,
        "slice": f"omnitron-{stack}.slice",
        "sockets": [],
        "control": None,
        "port": None,
        "critical": False,
        "stopTimeout": 10_000,
        "retries": 0,
        "scaling": None,
        "secrets": [],
        "restarts": {
            "enabled": True,
            "restart": "on-failure",
            "maxRestarts": 5,
            "window": 60_000,
            "backoff": "exponential:1000:30000:2",
            "record": f"omnitron/omnitron-{stack}-{app}-{name}.service.crashes",
        },
    }


def app(name: str, *processes: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "mode": "classic",
        "enabled": True,
        "critical": False,
        "dependsOn": [],
        "priority": 0,
        "target": None,
        "gate": None,
        "processes": list(processes),
        "watch": None,
    }


def policy(stack: str, *apps: dict[str, Any], source: str = "/srv/shop/omnitron.config.toml") -> dict[str, Any]:
    return {
        "version": StackPolicy.VERSION,
        "project": "shop",
        "stack": stack,
        "type": "local",
        "prefix": "omnitron",
        "source": source,
        "target": f"omnitron-{stack}.target",
        "slice": f"omnitron-{stack}.slice",
        "criticalTarget": f"omnitron-{stack}-critical-failure.target",
        "logNamespace": None,
        "strategy": "one_for_one",
        "maxRestarts": 5,
        "window": 60_000,
        "sampleInterval": 5_000,
        "retention": 3_600_000,
        "prometheus": None,
        "apps": list(apps),
        "infra": [],
        "ports": {},
        "redisNumbers": {},
        "maintenance": None,
    }


def dev_and_prod() -> list[dict[str, Any]]:
    return [
        policy(
            "dev",
            app("db", process("db", "main")),
            app("api", process("api", "http"), process("api", "worker", 3)),
        ),
        policy("prod", app("db", process("db", "main", stack="prod"))),
    ]


def write(folder: Path, *policies: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for data in policies:
        (folder / f"{data['prefix']}-{data['stack']}.json").write_text(json.dumps(data))
    return folder
