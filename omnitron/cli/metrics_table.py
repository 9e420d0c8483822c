"""Figures of apps as a table."""

from __future__ import annotations

from typing import Any

from omnitron.cli import output

HEADINGS = ("APP", "CPU", "MEMORY", "PEAK", "TASKS", "CALLS", "READ", "WRITTEN", "OOM", "RESTARTS", "CPU OVER TIME")
BARS = "▁▂▃▄▅▆▇█"
WIDTH = 30
"""Samples in a line."""


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
