"""`omnitron generate`: compile the definition into units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from omnitron.cli import changes, output
from omnitron.cli.arguments import Config, Debug, Json, Root, Runtime, Stacks, SystemdVersion, User
from omnitron.cli.context import make_plan, make_scope, secret_store

if TYPE_CHECKING:
    from omnitron.install.installer import Prepared
    from omnitron.install.scope import Scope
    from omnitron.planner.plan import Plan

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and write nothing.")]


def generate_command(
    stack: Stacks = None,
    user: User = False,
    runtime: Runtime = False,
    root: Root = None,
    systemd_version: SystemdVersion = None,
    dry_run: DryRun = False,
    config: Config = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Compile the definition into systemd units and make systemd read them.

    Starts and stops nothing: `systemctl start omnitron-STACK.target` does, or `omnitron up`.
    """
    scope = make_scope(user=user, runtime=runtime, root=root)
    plan = make_plan(scope, systemd_version, stack, installs=True)
    prepared = install(plan, scope, dry_run=dry_run)
    if output.wants_json():
        output.data({"changes": changes.as_data(prepared), "warnings": list(plan.warnings), "dryRun": dry_run})
        return
    report(plan, prepared, dry_run=dry_run)


def install(plan: Plan, scope: Scope, *, dry_run: bool = False) -> list[Prepared]:
    """Write what differs from what is installed, and return it."""
    from omnitron.install.installer import commit, prepare
    from omnitron.install.store import Store
    from omnitron.systemd import local

    if dry_run:
        return prepare(plan, scope, changes.running_units(scope, plan))
    if scope.is_live and not local.bus_path(scope.name == "user").exists():
        raise local.unreachable(scope.name == "user", "there is no bus")
    store = Store(scope)
    with store.locked(lambda: changes.reload_manager(scope), changes.say_waiting):
        prepared = prepare(plan, scope, changes.running_units(scope, plan))
        if scope.is_live:
            _make_passwords(plan, scope)
        commit(prepared, store, lambda: changes.reload_manager(scope))
    return prepared


def _make_passwords(plan: Plan, scope: Scope) -> None:
    """Make the secrets that nobody needs to know, and keep those that come in our own environment."""
    from omnitron.secrets import from_environment
    from omnitron.secrets.generated import make

    for stack in plan.stacks:
        used = dict.fromkeys(name for app in stack.apps.values() for process in app for name in process.secrets)
        if not used:
            continue
        store = secret_store(scope, stack.names.stem, stack.names.project)
        make(stack.infra.generated, store)
        for name in from_environment.keep([name for name in used if name not in stack.infra.generated], store):
            output.note(f"kept the secret {name} of {stack.names.stack}, from {from_environment.variable(name)}")


def report(plan: Plan, prepared: list[Prepared], *, dry_run: bool) -> None:
    """Print warnings, changes and what to do next."""
    for text in plan.warnings:
        output.warn(text)
    if all(not stack.difference.changes for stack in prepared):
        output.line("nothing to do: the units are as the definition says")
        return
    changes.show(prepared)
    counts = dict.fromkeys(("create", "change", "remove"), 0)
    for stack in prepared:
        for change in stack.difference.changes:
            if change.kind in counts:
                counts[change.kind] += 1
    verb = "would write" if dry_run else "wrote"
    output.line(f"{verb} {counts['create']} new and {counts['change']} changed files, removed {counts['remove']}")
