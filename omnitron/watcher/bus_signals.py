"""What is told of a stack on the bus, and which of it is news. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from omnitron.observe.status_json import health_of, worst_health

if TYPE_CHECKING:
    from omnitron.observe.report import StackReport
    from omnitron.watcher.stack_supervisor import Sight

Row = tuple[Any, ...]
Signal = tuple[str, Row]


@dataclass(frozen=True)
class Rows:
    """One stack as it is told. Rows are those of the introspection data, without the stack's name."""

    stack: Row = ()
    """Project, name, state of the target, health."""
    apps: Mapping[str, Row] = field(default_factory=dict)
    """Status, health, restarts, note; by app."""
    exits: Mapping[str, Row] = field(default_factory=dict)
    """When, result, code, status, why it was given up; by service."""


GONE = Rows()


def rows_of(sight: Sight, report: StackReport) -> Rows:
    """Return a stack as it is told."""
    healths = {app.policy.name: health_of(app) for app in report.apps}
    whole = worst_health(healths[app.policy.name] for app in report.apps if app.policy.enabled)
    apps = {
        app.policy.name: (
            app.status,
            healths[app.policy.name],
            sum(service.restarts for service in app.services),
            _text(app.note),
        )
        for app in report.apps
    }
    exits = {
        unit: (
            round(known.last_exit.at * 1_000_000),
            *map(_text, (known.last_exit.result, known.last_exit.code, known.last_exit.status)),
            _text(known.final.reason) if known.final else "",
        )
        for record in sight.records
        for unit, known in record.units.items()
        if known.last_exit
    }
    return Rows((sight.stack.project, sight.stack.stack, report.active, whole), apps, exits)


def signals(stem: str, before: Rows, after: Rows) -> Iterator[Signal]:
    """Yield what is to be told of a stack that has become another; a note that changes alone is not."""
    for unit, exit in after.exits.items():
        if before is not GONE and before.exits.get(unit, ())[:1] != exit[:1]:
            yield "Exited", (unit, *exit)
    for app, (status, health, restarts, note) in after.apps.items():
        if before.apps.get(app, ())[:3] != (status, health, restarts):
            yield "AppChanged", (stem, app, status, health, note)
    if after is GONE:
        yield "StackChanged", (stem, "removed", "")
    elif before.stack != after.stack:
        yield "StackChanged", (stem, *after.stack[2:])


def _text(text: str) -> str:
    """Return text that the bus takes: an app can have said anything."""
    return text.encode(errors="replace").decode().replace("\0", "")
