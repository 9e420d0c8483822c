"""Shared by `plan`, `generate` and `up`: what would change, and how it is shown."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from omnitron import names
from omnitron.cli import output
from omnitron.errors import SystemdUnreachableError

if TYPE_CHECKING:
    from omnitron.install.installer import Prepared
    from omnitron.install.scope import Scope
    from omnitron.planner.plan import Plan

SIGNS = {"create": ("+", "green"), "change": ("~", "yellow"), "remove": ("-", "red"), "keep": ("=", "dim")}


def running_units(scope: Scope, plan: Plan) -> frozenset[str]:
    """Return the names of the project's units that are not inactive; empty where no manager answers."""
    # 210 ms (pydantic, jinja2), and who writes below another root does without.
    from omnitron.install.installer import manifests
    from omnitron.systemd.systemctl import list_units

    if not scope.is_live:
        return frozenset()
    # Those of a former prefix too: they are to be stopped and removed.
    installed = {manifest.prefix for manifest in manifests(scope) if manifest.source == str(plan.ecosystem.path)}
    prefixes = sorted(installed | {plan.ecosystem.config.unit_prefix})
    with contextlib.suppress(SystemdUnreachableError):
        listed = list_units([f"{names.unit_stem(prefix)}-*" for prefix in prefixes], is_user=scope.name == "user")
        return frozenset(name for name, unit in listed.items() if unit.active not in ("inactive", "failed"))
    return frozenset()


def reload_manager(scope: Scope) -> None:
    """Make systemd read the units again, where there is a manager to do so."""
    if not scope.is_live:
        return
    from omnitron.systemd.manager import Manager  # 34 ms, and where there is no manager none

    async def reload() -> None:
        async with Manager(is_user=scope.name == "user") as manager:
            await manager.reload()

    asyncio.run(reload())


def say_waiting() -> None:
    """Tell the user why nothing happens."""
    output.note("another omnitron is writing units here: waiting until it is done")


def show(prepared: list[Prepared]) -> None:
    """Print each change with its reason."""
    for stack in prepared:
        for change in stack.difference.changes:
            sign, colour = SIGNS[change.kind]
            output.line(f"  {output.paint(sign, colour)} {change.path}  {output.paint(change.reason, 'dim')}")


def as_data(prepared: list[Prepared]) -> list[dict[str, Any]]:
    """Return each change as JSON says it."""
    return [
        {"stack": stack.stack, "change": change.kind, "path": str(change.path), "reason": change.reason}
        for stack in prepared
        for change in stack.difference.changes
    ]


def is_empty(prepared: list[Prepared]) -> bool:
    """Whether there is nothing to write or remove."""
    return all(stack.difference.is_empty for stack in prepared)
