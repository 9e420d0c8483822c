"""Pending changes: what an installation would write, and the running services that `up` would touch."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from omnitron import names
from omnitron.errors import SystemdUnreachableError
from omnitron.install.diff import is_running
from omnitron.install.installer import Prepared, manifests, prepare
from omnitron.install.scope import Scope
from omnitron.planner.plan import Plan
from omnitron.render.files import service_digest
from omnitron.systemd.systemctl import list_units


@dataclass(frozen=True)
class ServiceChange:
    """A service that `up` would start, stop or restart."""

    verb: Literal["start", "stop", "restart"]
    unit: str
    reason: str


@dataclass(frozen=True)
class PendingChanges:
    """The difference between a plan and what is installed."""

    files: Sequence[Prepared]
    services: Sequence[ServiceChange]

    @property
    def is_empty(self) -> bool:
        """Return whether there is nothing to write and nothing to do."""
        return not self.services and all(stack.difference.is_empty for stack in self.files)


def running_units(scope: Scope, plan: Plan) -> frozenset[str]:
    """Return the names of the project's units that are not inactive; empty where no manager answers."""
    if not scope.is_live:
        return frozenset()
    # Those of a former prefix too: they are to be stopped and removed.
    prefixes = {manifest.prefix for manifest in manifests(scope) if manifest.source == str(plan.ecosystem.path)}
    patterns = [f"{names.unit_stem(prefix)}-*" for prefix in sorted(prefixes | {plan.ecosystem.config.unit_prefix})]
    with contextlib.suppress(SystemdUnreachableError):
        units = list_units(patterns, is_user=scope.name == "user")
        return frozenset(name for name, unit in units.items() if unit.active not in ("inactive", "failed"))
    return frozenset()


def pending_changes(plan: Plan, scope: Scope) -> PendingChanges:
    """Compare a plan with what is installed and what runs; write nothing."""
    running = running_units(scope, plan)
    prepared = prepare(plan, scope, running)
    return PendingChanges(prepared, [*_touched(prepared, running), *_new(plan, prepared)])


def _touched(prepared: Sequence[Prepared], running: frozenset[str]) -> list[ServiceChange]:
    """Return the running services that `up` would stop or restart."""
    touched = []
    for stack in prepared:
        for change in stack.difference.changes:
            if not is_running(change.unit, running):
                continue
            if change.kind == "keep":
                touched.append(ServiceChange("stop", change.unit, "no longer in the definition"))
            elif change.kind == "change" and change.path in stack.files:
                before = change.path.read_text(errors="replace")
                if service_digest(before) != stack.files[change.path].run_digest:
                    touched.append(ServiceChange("restart", change.unit, change.reason))
    return touched


def _new(plan: Plan, prepared: Sequence[Prepared]) -> list[ServiceChange]:
    """Return the services that `up` would start for the first time."""
    created = {change.unit for stack in prepared for change in stack.difference.changes if change.kind == "create"}
    return [
        ServiceChange("start", service, "new")
        for stack in plan.stacks
        for name, processes in stack.apps.items()
        if name not in plan.ecosystem.by_name or plan.ecosystem.by_name[name].entry.enabled
        for process in processes
        if process.unit in created
        for service in process.services
    ]
