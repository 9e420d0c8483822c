"""A pool of the process host under a constant load from inside its machine."""

from __future__ import annotations

import json
from typing import Any

from tests.support.checkout import CHECKOUT
from tests.support.hosted import PORT, hosted
from tests.support.machines import Machine
from tests.support.projects import Make, Project

LOAD = (CHECKOUT / "tests/support/load.py").read_text()
CLIENTS = 16


def pool(make: Make, instances: int | None) -> Project:
    process: dict[str, Any] = {"name": "http", "transports": {"http": {"port": PORT}}}
    project = hosted(make, process | ({"instances": instances} if instances else {}))
    project.write("load.py", LOAD)
    project.omnitron("up")
    return project


def under_load(
    machine: Machine, project: Project, mode: str, requests: int, *steps: str, timeout: float = 120
) -> dict[str, Any]:
    """Run shell commands, one after the other, while clients send requests; what these have seen."""
    omnitron = " ".join([*machine.python, "-m", "omnitron"])
    during = "; sleep 0.5; ".join(step.replace("omnitron", omnitron) for step in steps)
    load = f"python3 load.py {PORT} {requests} {CLIENTS} {mode} > /run/{project.prefix}-load"
    machine.run("sh", "-ec", f"({load}) & sleep 0.5; {during}; wait", cwd=project.folder, timeout=timeout)
    found: dict[str, Any] = json.loads(machine.read(f"/run/{project.prefix}-load"))
    return found
