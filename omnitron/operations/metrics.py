"""`metrics`: figures of apps and their history, as the watcher has sampled them."""

from __future__ import annotations

from typing import Any

from omnitron.errors import UsageError
from omnitron.operations.installed import records_folder
from omnitron.operations.watcher_client import ask
from omnitron.policy.model import Selection


def current(*, is_user: bool) -> dict[str, Any]:
    """Return the last figures of all apps, an `AggregatedMetricsDto` with our own fields."""
    data: dict[str, Any] = ask(records_folder(is_user), "/metrics.json", is_user=is_user)
    return data


def history(*, is_user: bool) -> dict[str, Any]:
    """Return the figures of each service over time, by the name of its unit."""
    data: dict[str, Any] = ask(records_folder(is_user), "/history.json", is_user=is_user)
    return data


def of_app(data: dict[str, Any], selection: Selection) -> dict[str, Any]:
    """Return the figures of one app alone; UsageError where there are none yet."""
    in_stack = f"{selection.stack.stack}/{selection.app.name}"
    names = (selection.app.name, in_stack, f"{selection.stack.project}/{in_stack}")
    apps = {name: figures for name, figures in data["apps"].items() if name in names}
    if not apps:
        raise UsageError(f"cannot find figures of {selection.address}", hint="the watcher may have just started")
    totals = {key: sum(figures[key] for figures in apps.values()) for key in ("cpu", "memory")}
    return {**data, "apps": apps, "totals": totals}


def busiest_first(data: dict[str, Any]) -> dict[str, Any]:
    """Return the figures with the app first that uses most CPU."""
    return {**data, "apps": dict(sorted(data["apps"].items(), key=lambda item: -item[1]["cpu"]))}
