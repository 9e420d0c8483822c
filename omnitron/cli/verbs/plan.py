"""`omnitron plan`: what `generate` and `up` would change, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from omnitron.cli import changes, output
from omnitron.cli.arguments import Config, Debug, Json, Root, Runtime, Stacks, SystemdVersion, User
from omnitron.cli.context import make_plan, make_scope
from omnitron.cli.verbs.generate import install

if TYPE_CHECKING:
    from omnitron.install.installer import Prepared
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
    plan = make_plan(scope, systemd_version, stack, installs=True)
    prepared = install(plan, scope, dry_run=True)
    touched = _touched(prepared, changes.running_units(scope, plan)) + _new(plan, prepared)
    if output.wants_json():
        services = [{"verb": verb, "unit": unit, "reason": reason} for verb, unit, reason in touched]
        output.data({"changes": changes.as_data(prepared), "services": services, "warnings": list(plan.warnings)})
    else:
        for text in plan.warnings:
            output.warn(text)
        show_services(plan)
        changes.show(prepared)
        for verb, unit, reason in touched:
            output.line(f"  {verb} {unit}  {output.paint(reason, 'dim')}")
        if changes.is_empty(prepared) and not touched:
            output.line("nothing to do: the units are as the definition says")
    if not changes.is_empty(prepared) or touched:
        raise typer.Exit(CHANGES_PENDING)


def show_services(plan: Plan) -> None:
    """Say who runs each service of the stacks, why, and where."""
    for stack in plan.stacks:
        for placed in stack.infra.services:
            ports = ", ".join(f"{placed.host}:{port}" for port in placed.ports.values()) or placed.host
            why = output.paint(placed.provider.why, "dim")
            output.line(f"  {stack.names.stack}/{placed.name} is {placed.provider.name} at {ports}  {why}")
        if stack.site:
            why = output.paint(stack.site.provider.why, "dim")
            output.line(f"  {stack.names.stack}/gateway is {stack.site.provider.name} at {stack.site.listen}  {why}")


def _touched(prepared: list[Prepared], running: frozenset[str]) -> list[tuple[str, str, str]]:
    """Return the running services that `up` would stop or restart: verb, unit, reason."""
    from omnitron.install.diff import is_running
    from omnitron.render.files import service_digest

    touched = []
    for stack in prepared:
        for change in stack.difference.changes:
            if not is_running(change.unit, running):
                continue
            if change.kind == "keep":
                touched.append(("stop", change.unit, "no longer in the definition"))
            elif change.kind == "change" and change.path in stack.files:
                before = change.path.read_text(errors="replace")
                if service_digest(before) != stack.files[change.path].run_digest:
                    touched.append(("restart", change.unit, change.reason))
    return touched


def _new(plan: Plan, prepared: list[Prepared]) -> list[tuple[str, str, str]]:
    """Return the services that `up` would start for the first time: verb, unit, reason."""
    created = {change.unit for stack in prepared for change in stack.difference.changes if change.kind == "create"}
    return [
        ("start", service, "new")
        for stack in plan.stacks
        for name, processes in stack.apps.items()
        if name not in plan.ecosystem.by_name or plan.ecosystem.by_name[name].entry.enabled
        for process in processes
        if process.unit in created
        for service in process.services
    ]
