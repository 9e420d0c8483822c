"""The published state of a stack on the bus, and the signals for its changes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from omnitron.observe.conditions import text_of
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
    conditions: Mapping[str, Row] = field(default_factory=dict)
    """App, kind, what it comes from, sentence; by service, of those in a condition."""
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
            _text(text_of(app.condition)),
        )
        for app in report.apps
    }
    conditions = {
        service.unit: (app.policy.name, current.kind.value, current.by or "", _text(current.text))
        for app in report.apps
        for service in app.services
        if (current := service.condition)
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
    return Rows((snapshot.stack.project, snapshot.stack.stack, report.active, whole), apps, conditions, exits)


def signals(stem: str, before: Rows, after: Rows) -> Iterator[Signal]:
    """Yield the signals for the changes of a stack; a change of only the note of an app yields none."""
    for unit, exit in after.exits.items():
        if before is not GONE and before.exits.get(unit, ())[:1] != exit[:1]:
            yield "Exited", (unit, *exit)
    for app, (status, health, restarts, note) in after.apps.items():
        if before.apps.get(app, ())[:3] != (status, health, restarts):
            yield "AppChanged", (stem, app, status, health, note)
    yield from _condition_signals(stem, before, after)
    if after is GONE:
        yield "StackChanged", (stem, "removed", "")
    elif before.stack != after.stack:
        yield "StackChanged", (stem, *after.stack[2:])


def _condition_signals(stem: str, before: Rows, after: Rows) -> Iterator[Signal]:
    """Yield the conditions that are others than before, and those that are over: these have no kind."""
    for unit, (app, kind, by, text) in after.conditions.items():
        if before.conditions.get(unit, ())[:3] != (app, kind, by):
            yield "ConditionChanged", (stem, app, unit, kind, by, text)
    for unit, (app, *_) in before.conditions.items() if after is not GONE else ():
        if unit not in after.conditions:
            yield "ConditionChanged", (stem, app, unit, "", "", "")


def _text(text: str) -> str:
    """Return text that D-Bus accepts: texts of apps can contain any character."""
    return text.encode(errors="replace").decode().replace("\0", "")
