"""Formats of the figures: `AggregatedMetricsDto`, histories, and Prometheus text. Pure."""

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
            mine = [service for service in figures if service.app == app.name]
            apps[next(names)] = {**_sums(mine), "processes": [_process(service) for service in mine]}
    return {"timestamp": timestamp, "apps": apps, "totals": _sums([service for _, mine in stacks for service in mine])}


def _sums(figures: list[Figures]) -> dict[str, Any]:
    return {
        "cpu": round(sum(service.cpu for service in figures), 2),
        "memory": sum(service.memory for service in figures),
    }


def _process(service: Figures) -> dict[str, Any]:
    return {
        "name": service.process if service.instance is None else f"{service.process}@{service.instance}",
        "unit": service.unit,
        "cpu": round(service.cpu, 2),
        "memory": service.memory,
        "memoryIsSum": service.details.memory_is_sum,
        "memoryPeak": service.details.memory_peak,
        "tasks": service.details.tasks,
        "ioRead": service.details.io_read,
        "ioWritten": service.details.io_written,
        "oomKills": service.details.oom_kills,
        "pressure": service.details.pressure,
        "restarts": service.restarts,
        "pendingCalls": service.pending,
        "up": service.is_up,
    }


def values_of(stack: StackPolicy, service: Figures) -> dict[str, bool | int | float | str]:
    """Return the figures of one service as a flat dict; values that are not available are left out."""
    values = {"project": stack.project, "stack": stack.stack, "app": service.app, **_process(service)}
    pressure = values.pop("pressure")
    values |= {f"pressure{kind.capitalize()}": share for kind, share in pressure.items()}
    return {name: value for name, value in values.items() if value is not None}


def histories(stacks: Iterable[tuple[StackPolicy, Mapping[str, History]]]) -> dict[str, Any]:
    """Return the last samples of each service, oldest first; `interval` in ms."""
    return {
        unit: {
            "interval": stack.sample_interval,
            "cpu": history.cpu[-SHOWN:],
            "memory": history.memory[-SHOWN:],
        }
        for stack, services in stacks
        for unit, history in services.items()
    }


def prometheus(stacks: Stacks) -> str:
    """Return the figures in Prometheus' text format."""
    return "".join(f"{line}\n" for line in _lines(stacks))


SHOWN = 120
"""Samples of a history in one answer: enough for a chart."""


class Metric(NamedTuple):
    """One metric: its name, and its value for a service; None leaves the service out.

    A service that is down has only the metrics `of_down`, so that alerts can tell it from one that does not exist.
    """

    name: str
    kind: str
    help: str
    value: Callable[[Figures], float | int | None]
    of_down: bool = False


METRICS = (
    Metric("up", "gauge", "1 if the service is running, else 0.", lambda service: int(service.is_up), of_down=True),
    Metric("cpu_percent", "gauge", "Per cent of one CPU over the last interval.", lambda service: service.cpu),
    Metric("memory_bytes", "gauge", "Memory in use.", lambda service: service.memory),
    Metric(
        "memory_peak_bytes", "gauge", "Peak of memory since the start.", lambda service: service.details.memory_peak
    ),
    Metric("tasks", "gauge", "Processes and threads.", lambda service: service.details.tasks),
    Metric("io_read_bytes_total", "counter", "Bytes read from disks.", lambda service: service.details.io_read),
    Metric("io_written_bytes_total", "counter", "Bytes written to disks.", lambda service: service.details.io_written),
    Metric(
        "oom_kills_total", "counter", "Processes killed by the OOM killer.", lambda service: service.details.oom_kills
    ),
    Metric("pending_calls", "gauge", "Calls that a process host is serving.", lambda service: service.pending),
    Metric(
        "restarts_total",
        "counter",
        "Restarts after crashes, since boot.",
        lambda service: service.restarts,
        of_down=True,
    ),
)
PRESSURE = "omnitron_app_pressure_percent"


def _lines(stacks: Stacks) -> Iterator[str]:
    for metric in METRICS:
        name = f"omnitron_app_{metric.name}"
        yield from (f"# HELP {name} {metric.help}", f"# TYPE {name} {metric.kind}")
        for stack, service in _each(stacks):
            if (service.is_up or metric.of_down) and (value := metric.value(service)) is not None:
                yield f"{name}{{{_labels(stack, service)}}} {value}"
    yield f"# HELP {PRESSURE} Share of the last ten seconds in which a task waited for the resource."
    yield f"# TYPE {PRESSURE} gauge"
    for stack, service in _each(stacks):
        for kind, share in service.details.pressure.items():
            yield f'{PRESSURE}{{{_labels(stack, service)},resource="{kind}"}} {share}'


def _each(stacks: Stacks) -> Iterator[tuple[StackPolicy, Figures]]:
    for stack, figures in stacks:
        for service in figures:
            yield stack, service


def _labels(stack: StackPolicy, service: Figures) -> str:
    labels = {
        "project": stack.project,
        "stack": stack.stack,
        "app": service.app,
        "process": service.process,
        "instance": "" if service.instance is None else str(service.instance),
    }
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items() if value)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
