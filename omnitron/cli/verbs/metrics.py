"""`omnitron metrics`: what apps use, now and over time."""

from __future__ import annotations

from typing import Any

from omnitron.cli import output
from omnitron.cli.arguments import Debug, Json, OptionalApp, User
from omnitron.cli.selection import installed, is_user_scope, scopes, targets
from omnitron.errors import UsageError

HEADINGS = ("APP", "CPU", "MEMORY", "PEAK", "TASKS", "CALLS", "READ", "WRITTEN", "OOM", "RESTARTS", "CPU OVER TIME")
BARS = "▁▂▃▄▅▆▇█"
WIDTH = 30
"""Samples in a line."""


def metrics_command(app: OptionalApp = None, user: User = False, json: Json = False, debug: Debug = False) -> None:
    """Show CPU, memory, tasks, pending calls, disk traffic and restarts of apps and of each of their processes.

    CPU is the share of one CPU over the last interval; calls are those that a process host is serving. The watcher
    takes the figures and keeps them for `monitoring.metrics.retention`.
    """
    from omnitron.operations.watcher_client import ask

    is_user = is_user_scope(user)
    installed(is_user=is_user)  # without any, that is what is to be said
    records = scopes(is_user)[0].records
    data = ask(records, "/metrics.json", is_user=is_user)
    if app is not None:
        data = _only(data, app, is_user=is_user)
    if output.wants_json():
        output.data(data)
        return
    show(data, ask(records, "/history.json", is_user=is_user))


def _only(data: dict[str, Any], app: str, *, is_user: bool) -> dict[str, Any]:
    """Return the figures of one app."""
    (one,) = targets(app, is_user=is_user)
    in_stack = f"{one.stack.stack}/{one.app.name}"
    names = (one.app.name, in_stack, f"{one.stack.project}/{in_stack}")
    found = {name: figures for name, figures in data["apps"].items() if name in names}
    if not found:
        raise UsageError(f"cannot find figures of {app}", hint="the watcher may have just started")
    totals = {key: sum(figures[key] for figures in found.values()) for key in ("cpu", "memory")}
    return {**data, "apps": found, "totals": totals}


def show(data: dict[str, Any], histories: dict[str, Any]) -> None:
    """Print the figures as a table."""
    rows = []
    for name, figures in data["apps"].items():
        processes = figures["processes"]
        if len(processes) != 1:
            rows.append([name, f"{figures['cpu']:.1f}%", output.size(figures["memory"]), *["-"] * 7, ""])
        for process in processes:
            label = name if len(processes) == 1 else f"  :{process['name']}"
            rows.append([label, *_cells(process), sparkline(histories.get(process["unit"], {}).get("cpu", []))])
    output.table(HEADINGS, rows)
    if any(process["memoryIsSum"] for figures in data["apps"].values() for process in figures["processes"]):
        output.line("memory is the sum over processes, shared pages counted by each: no memory controller here")


def _cells(process: dict[str, Any]) -> list[str]:
    def size(key: str) -> str:
        return "-" if process[key] is None else output.size(process[key])

    def number(key: str) -> str:
        # A watcher that has not been restarted since an upgrade may not have it.
        return "-" if process.get(key) is None else str(process[key])

    return [
        f"{process['cpu']:.1f}%",
        size("memory"),
        size("memoryPeak"),
        number("tasks"),
        number("pendingCalls"),
        size("ioRead"),
        size("ioWritten"),
        number("oomKills"),
        number("restarts"),
    ]


def sparkline(values: list[float]) -> str:
    """Return the last values as bars; a full one is the largest of them, or one per cent."""
    shown = values[-WIDTH:]
    top = max([1.0, *shown])
    return "".join(BARS[min(len(BARS) - 1, int(value / top * len(BARS)))] for value in shown)
