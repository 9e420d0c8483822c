"""What is told of a stack on the bus, and which of it is news. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from omnitron.observe.conditions import text_of
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
    conditions: Mapping[str, Row] = field(default_factory=dict)
    """App, kind, what it comes from, sentence; by service, of those in a condition."""
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
            _text(text_of(app.condition)),
        )
        for app in report.apps
    }
    conditions = {
        service.unit: (app.policy.name, found.kind.value, found.by or "", _text(found.text))
        for app in report.apps
        for service in app.services
        if (found := service.condition)
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
    return Rows((sight.stack.project, sight.stack.stack, report.active, whole), apps, conditions, exits)


def signals(stem: str, before: Rows, after: Rows) -> Iterator[Signal]:
    """Yield what is to be told of a stack that has become another; a note that changes alone is not."""
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
    """Return text that the bus takes: an app can have said anything."""
    return text.encode(errors="replace").decode().replace("\0", "")
