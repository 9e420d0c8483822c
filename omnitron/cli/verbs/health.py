"""`omnitron health`: whether apps are healthy."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import typer

from omnitron.cli import output
from omnitron.cli.arguments import Debug, Json, OptionalApp, User
from omnitron.cli.selection import is_user_scope, select
from omnitron.observe.status_json import aggregated_health, shortest_names
from omnitron.operations import installed

if TYPE_CHECKING:
    from omnitron.observe.report import AppReport

COLOURS = {"healthy": "green", "degraded": "yellow", "unhealthy": "red"}


def health_command(app: OptionalApp = None, user: User = False, json: Json = False, debug: Debug = False) -> None:
    """Show the health of apps: healthy, degraded (on its way), or unhealthy, with each check.

    Exit status 1 when anything is unhealthy.
    """
    is_user = is_user_scope(user)
    reports = installed.reports(installed.stacks(is_user=is_user), is_user=is_user, listens=True)
    named: list[tuple[AppReport, str]] = shortest_names(reports)
    if app is not None:
        chosen = {(item.stack.target, item.app.name) for item in select(app, is_user=is_user)}
        named = [(a, name) for a, name in named if (a.stack.target, a.policy.name) in chosen]
    health = aggregated_health(named, timestamp=round(time.time() * 1000))
    if output.wants_json():
        output.data(health)
    else:
        _print(health["apps"])
    if health["overall"] == "unhealthy":
        raise typer.Exit(1)


def _print(apps: dict[str, dict[str, object]]) -> None:
    rows: list[list[str]] = []
    colours: dict[tuple[int, int], str] = {}
    for name, health in apps.items():
        checks = health["checks"]
        assert isinstance(checks, list)
        for index, check in enumerate(checks or [{"name": "-", "status": "-"}]):
            colours[(len(rows), 1)] = COLOURS[str(health["status"])]
            first = (name, str(health["status"])) if index == 0 else ("", "")
            rows.append([*first, str(check["name"]), str(check["status"]), str(check.get("message", ""))])
    output.table(("APP", "HEALTH", "CHECK", "RESULT", ""), rows, colours)
