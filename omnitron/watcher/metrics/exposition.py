"""Figures as others read them: an `AggregatedMetricsDto`, histories, and Prometheus text. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from omnitron.names import shortest
from omnitron.policy.model import StackPolicy
from omnitron.watcher.metrics.history import History
from omnitron.watcher.metrics.sampler import Figures

Stacks = list[tuple[StackPolicy, list[Figures]]]


def aggregated(stacks: Stacks, *, timestamp: int) -> dict[str, Any]:
    """Return an `AggregatedMetricsDto`: CPU in per cent of one CPU, memory in bytes, `timestamp` in ms.

    Apps by their shortest address; each has its processes beside the totals.
    """
    names = iter(shortest([(stack.project, stack.stack, app.name) for stack, _ in stacks for app in stack.apps]))
    apps: dict[str, Any] = {}
    for stack, figures in stacks:
        for app in stack.apps:
            mine = [one for one in figures if one.app == app.name]
            apps[next(names)] = {**_sums(mine), "processes": [_process(one) for one in mine]}
    return {"timestamp": timestamp, "apps": apps, "totals": _sums([one for _, mine in stacks for one in mine])}


def _sums(figures: list[Figures]) -> dict[str, Any]:
    return {"cpu": round(sum(one.cpu for one in figures), 2), "memory": sum(one.memory for one in figures)}


def _process(one: Figures) -> dict[str, Any]:
    return {
        "name": one.process if one.instance is None else f"{one.process}@{one.instance}",
        "unit": one.unit,
        "cpu": round(one.cpu, 2),
        "memory": one.memory,
        "memoryIsSum": one.details.memory_is_sum,
        "memoryPeak": one.details.memory_peak,
        "tasks": one.details.tasks,
        "ioRead": one.details.io_read,
        "ioWritten": one.details.io_written,
        "oomKills": one.details.oom_kills,
        "pressure": one.details.pressure,
        "restarts": one.restarts,
        "pendingCalls": one.pending,
        "up": one.is_up,
    }


def values_of(stack: StackPolicy, one: Figures) -> dict[str, bool | int | float | str]:
    """Return the figures of one service, flat; what is not known is left out."""
    values = {"project": stack.project, "stack": stack.stack, "app": one.app, **_process(one)}
    pressure = values.pop("pressure")
    values |= {f"pressure{kind.capitalize()}": share for kind, share in pressure.items()}
    return {name: value for name, value in values.items() if value is not None}


def histories(kept: Iterable[tuple[StackPolicy, Mapping[str, History]]]) -> dict[str, Any]:
    """Return the last of what is kept of each service, oldest first; `interval` in ms."""
    return {
        unit: {
            "interval": stack.sample_interval,
            "cpu": history.cpu[-SHOWN:],
            "memory": history.memory[-SHOWN:],
        }
        for stack, of in kept
        for unit, history in of.items()
    }


def prometheus(stacks: Stacks) -> str:
    """Return the figures in Prometheus' text format."""
    return "".join(f"{line}\n" for line in _lines(stacks))


SHOWN = 120
"""Samples of a history in one answer: what a chart has room for."""


class Metric(NamedTuple):
    """One metric: what it is called, and its value for a service; None leaves the service out.

    A service that is down has few: an alert needs them to tell it from one that was never there.
    """

    name: str
    kind: str
    help: str
    value: Callable[[Figures], float | int | None]
    of_down: bool = False


METRICS = (
    Metric("up", "gauge", "Whether it runs: 1, or 0.", lambda one: int(one.is_up), of_down=True),
    Metric("cpu_percent", "gauge", "Per cent of one CPU over the last interval.", lambda one: one.cpu),
    Metric("memory_bytes", "gauge", "Memory in use.", lambda one: one.memory),
    Metric("memory_peak_bytes", "gauge", "Most memory since it started.", lambda one: one.details.memory_peak),
    Metric("tasks", "gauge", "Processes and threads.", lambda one: one.details.tasks),
    Metric("io_read_bytes_total", "counter", "Bytes read from disks.", lambda one: one.details.io_read),
    Metric("io_written_bytes_total", "counter", "Bytes written to disks.", lambda one: one.details.io_written),
    Metric("oom_kills_total", "counter", "Processes killed for want of memory.", lambda one: one.details.oom_kills),
    Metric("pending_calls", "gauge", "Calls that a process host is serving.", lambda one: one.pending),
    Metric("restarts_total", "counter", "Restarts after crashes, since boot.", lambda one: one.restarts, of_down=True),
)
PRESSURE = "omnitron_app_pressure_percent"


def _lines(stacks: Stacks) -> Iterator[str]:
    for metric in METRICS:
        name = f"omnitron_app_{metric.name}"
        yield from (f"# HELP {name} {metric.help}", f"# TYPE {name} {metric.kind}")
        for stack, one in _each(stacks):
            if (one.is_up or metric.of_down) and (value := metric.value(one)) is not None:
                yield f"{name}{{{_labels(stack, one)}}} {value}"
    yield f"# HELP {PRESSURE} Share of ten seconds in which something waited for a resource."
    yield f"# TYPE {PRESSURE} gauge"
    for stack, one in _each(stacks):
        for kind, share in one.details.pressure.items():
            yield f'{PRESSURE}{{{_labels(stack, one)},resource="{kind}"}} {share}'


def _each(stacks: Stacks) -> Iterator[tuple[StackPolicy, Figures]]:
    for stack, figures in stacks:
        for one in figures:
            yield stack, one


def _labels(stack: StackPolicy, one: Figures) -> str:
    labels = {
        "project": stack.project,
        "stack": stack.stack,
        "app": one.app,
        "process": one.process,
        "instance": "" if one.instance is None else str(one.instance),
    }
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items() if value)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
