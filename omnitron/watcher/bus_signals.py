"""The published state of a stack on the bus, and the signals for its changes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from omnitron.observe.status_json import health_of, worst_health

if TYPE_CHECKING:
    from omnitron.observe.report import StackReport
    from omnitron.watcher.stack_supervisor import StackSnapshot

Row = tuple[Any, ...]
Signal = tuple[str, Row]


@dataclass(frozen=True)
class Rows:
    """The published state of one stack. Rows are those of the introspection data, without the name of the stack."""

    stack: Row = ()
    """Project, name, state of the target, health."""
    apps: Mapping[str, Row] = field(default_factory=dict)
    """Status, health, restarts, note; by app."""
    exits: Mapping[str, Row] = field(default_factory=dict)
    """Time, result, code, status, reason of the final crash (empty for none); by service."""


GONE = Rows()


def rows_of(snapshot: StackSnapshot, report: StackReport) -> Rows:
    """Return the published state of a stack."""
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
            round(entry.last_exit.at * 1_000_000),
            *map(_text, (entry.last_exit.result, entry.last_exit.code, entry.last_exit.status)),
            _text(entry.final.reason) if entry.final else "",
        )
        for record in snapshot.records
        for unit, entry in record.units.items()
        if entry.last_exit
    }
    return Rows((snapshot.stack.project, snapshot.stack.stack, report.active, whole), apps, exits)


def signals(stem: str, before: Rows, after: Rows) -> Iterator[Signal]:
    """Yield the signals for the changes of a stack; a change of only the note of an app yields none."""
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
    """Return text that D-Bus accepts: texts of apps can contain any character."""
    return text.encode(errors="replace").decode().replace("\0", "")
