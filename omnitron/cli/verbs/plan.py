"""`omnitron plan`: what `generate` and `up` would change, and why."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from omnitron.cli import changes, output
from omnitron.cli.arguments import Config, Debug, Json, Root, Runtime, Stacks, SystemdVersion, User
from omnitron.cli.options import load_ecosystem, make_scope
from omnitron.operations import planning
from omnitron.operations.changes import pending_changes
from omnitron.operations.trust import trusted_for

if TYPE_CHECKING:
    from omnitron.planner.plan import Plan

CHANGES_PENDING = 2


def plan_command(
    stack: Stacks = None,
    user: User = False,
    runtime: Runtime = False,
    root: Root = None,
    systemd_version: SystemdVersion = None,
    config: Config = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show what would be written, changed and removed, and which services `omnitron up` would touch.

    Writes nothing. Exit status 0 when there is nothing to do, 2 when there is.
    """
    scope = make_scope(user=user, runtime=runtime, root=root)
    ecosystem = load_ecosystem()
    plan = planning.make_plan(ecosystem, scope, stack or (), systemd_version=systemd_version, installs=True)
    pending = pending_changes(plan, scope)
    if output.wants_json():
        services = [asdict(change) for change in pending.services]
        output.data({"changes": changes.as_data(pending.files), "services": services, "warnings": list(plan.warnings)})
    else:
        for folder in trusted_for(ecosystem):
            output.line(f"  {folder.owner} is as good as root here: {folder.path} is trusted, by {folder.by}")
        for text in plan.warnings:
            output.warn(text)
        _show_infrastructure(plan)
        changes.show(pending.files)
        for change in pending.services:
            output.line(f"  {change.verb} {change.unit}  {output.paint(change.reason, 'dim')}")
        if pending.is_empty:
            output.line("nothing to do: the units are as the definition says")
    if not pending.is_empty:
        raise typer.Exit(CHANGES_PENDING)


def _show_infrastructure(plan: Plan) -> None:
    """Print who runs each infrastructure service of the stacks, why, and where."""
    for stack in plan.stacks:
        for service in stack.infra.services:
            ports = ", ".join(f"{service.host}:{port}" for port in service.ports.values()) or service.host
            why = output.paint(service.provider.why, "dim")
            output.line(f"  {stack.names.stack}/{service.name} is {service.provider.name} at {ports}  {why}")
        if stack.site:
            why = output.paint(stack.site.provider.why, "dim")
            output.line(f"  {stack.names.stack}/gateway is {stack.site.provider.name} at {stack.site.listen}  {why}")
