"""Changes of files, printed for people or programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from omnitron.cli import output

if TYPE_CHECKING:
    from omnitron.install.installer import Prepared

SIGNS = {"create": ("+", "green"), "change": ("~", "yellow"), "remove": ("-", "red"), "keep": ("=", "dim")}


def show(prepared: Sequence[Prepared]) -> None:
    """Print each change with its reason."""
    for stack in prepared:
        for change in stack.difference.changes:
            sign, colour = SIGNS[change.kind]
            output.line(f"  {output.paint(sign, colour)} {change.path}  {output.paint(change.reason, 'dim')}")


def as_data(prepared: Sequence[Prepared]) -> list[dict[str, Any]]:
    """Return each change as JSON has it."""
    return [
        {"stack": stack.stack, "change": change.kind, "path": str(change.path), "reason": change.reason}
        for stack in prepared
        for change in stack.difference.changes
    ]
