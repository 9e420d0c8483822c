"""`omnitron generate`: compile the definition into units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from omnitron.cli import changes, output, progress
from omnitron.cli.arguments import Config, Debug, Json, Root, Runtime, Stacks, SystemdVersion, User
from omnitron.cli.options import make_plan, make_scope
from omnitron.operations.changes import pending_changes
from omnitron.operations.install import install

if TYPE_CHECKING:
    from omnitron.install.installer import Prepared

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
    prepared = pending_changes(plan, scope).files if dry_run else install(plan, scope, progress.show)
    if output.wants_json():
        output.data({"changes": changes.as_data(prepared), "warnings": list(plan.warnings), "dryRun": dry_run})
        return
    for text in plan.warnings:
        output.warn(text)
    _report(prepared, dry_run=dry_run)


def _report(prepared: Sequence[Prepared], *, dry_run: bool) -> None:
    kinds = [change.kind for stack in prepared for change in stack.difference.changes]
    if not kinds:
        output.line("nothing to do: the units are as the definition says")
        return
    changes.show(prepared)
    verb = "would write" if dry_run else "wrote"
    output.line(
        f"{verb} {kinds.count('create')} new and {kinds.count('change')} changed files, removed {kinds.count('remove')}"
    )
