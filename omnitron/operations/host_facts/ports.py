"""The ports of this host: those of installed stacks, and those that any program listens on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from omnitron.install.scope import Scope
from omnitron.planner.facts import Assignments
from omnitron.policy.store import read_policies

LISTEN = "0A"
"""The state of a listening socket in /proc/net/tcp."""


def assignments(scope: Scope, *, checks: bool) -> Assignments:
    """Return the assignments of installed stacks, and with `checks` the ports that are listened on."""
    if not scope.is_live:
        return Assignments()
    # One that is damaged is written anew, and remembers nothing.
    installed = read_policies([scope.policies, replace(scope, runtime=not scope.runtime).policies], lambda _: None)
    ports = {policy.stem: policy.ports for policy in installed if policy.ports}
    numbers = {policy.stem: policy.redis_numbers for policy in installed if policy.redis_numbers}
    providers = {policy.stem: {service.name: service.provider for service in policy.infra} for policy in installed}
    return Assignments(ports, numbers, providers, listening() if checks else frozenset())


def listening() -> frozenset[int]:
    """Return the TCP ports that a program listens on; none where that cannot be seen."""
    ports: set[int] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in (line.split() for line in lines):
            if fields[3] == LISTEN:
                ports.add(int(fields[1].rpartition(":")[2], 16))
    return frozenset(ports)
