"""Metrics of a process, rendered in Prometheus' text format 0.0.4.

For one thread, that of the event loop: concurrent increments from several threads may get lost.
"""

from __future__ import annotations

import logging
import os
import time
from bisect import bisect_left
from functools import cache
from math import isfinite

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import TypeVar

    M = TypeVar("M", bound="Metric")

MAX_SERIES = 1000
"""Label sets of one metric, the last of which is `other`."""
VALUE_MAX = 200
"""Longest value of a label, in characters; the rest is cut off."""
OTHER = "other"

DEFAULT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds: those of Prometheus' clients, and two smaller ones for calls inside one host."""


class Metric:
    """A metric of any kind: a name, a line of help, and one series for each set of label values.

    Clients must not be able to create series without limit: beyond MAX_SERIES a new label set is counted under
    the label values `other`. Raises ValueError for a name that Prometheus does not accept.
    """

    kind = ""

    def __init__(self, name: str, help: str, labels: tuple[str, ...] = ()) -> None:
        _check_names(name, labels)
        self.name, self.help, self.labels = name, help, tuple(labels)
        # From label values, as they are rendered, to the numbers of the series.
        self._series: dict[tuple[object, ...], list[float]] = {}

    def _new(self) -> list[float]:
        return [0.0]

    def _add(self, values: tuple[object, ...]) -> list[float]:
        """Return the numbers of the series of `values`, for which `_series` has no key in this form."""
        if len(values) != len(self.labels):
            raise ValueError(f"{self.name} has {len(self.labels)} labels, not {len(values)}")
        key: tuple[object, ...] = tuple(_clean(str(value))[:VALUE_MAX] for value in values)
        if key not in self._series and len(self._series) >= MAX_SERIES - 1:
            key = (OTHER,) * len(self.labels)
        return self._series.setdefault(key, self._new())

    def names(self) -> set[str]:
        """Return its own name and the names of its samples."""
        return {self.name}

    def render(self) -> Iterator[str]:
        """Yield the lines of the text format."""
        yield f"# HELP {self.name} {_escape(_clean(self.help))}"
        yield f"# TYPE {self.name} {self.kind}"
        for values, numbers in list(self._series.items()):
            pairs = [f'{label}="{_quoted(str(value))}"' for label, value in zip(self.labels, values, strict=True)]
            yield from self._samples(pairs, numbers)

    def _samples(self, pairs: list[str], numbers: list[float]) -> Iterator[str]:
        yield f"{self.name}{_braces(pairs)} {_number(numbers[0])}"


class _Scalar(Metric):
    """One number for each series, or the one that a function returns when it is rendered."""

    def __init__(
        self, name: str, help: str, labels: tuple[str, ...] = (), *, value: Callable[[], float] | None = None
    ) -> None:
        super().__init__(name, help, labels)
        if value and labels:
            raise ValueError(f"{name} has labels: its value cannot be a function")
        self._value = value
        if not labels and not value:
            self._series[()] = self._new()

    def _add(self, values: tuple[object, ...]) -> list[float]:
        if self._value:
            raise ValueError(f"{self.name} is what its function returns")
        return super()._add(values)

    def render(self) -> Iterator[str]:
        """Yield the lines of the text format; without a sample when the function fails."""
        yield from super().render()
        if self._value:
            try:
                yield f"{self.name} {_number(self._value())}"
            except Exception as error:
                logging.getLogger(__name__).warning("cannot read %s: %s", self.name, error)


class Counter(_Scalar):
    """A number that only grows."""

    kind = "counter"

    def inc(self, *label_values: object, by: float = 1.0) -> None:
        """Add `by`; ValueError when it is negative."""
        if not by >= 0:
            raise ValueError(f"{self.name} only grows, not by {by}")
        numbers = self._series.get(label_values) or self._add(label_values)
        numbers[0] += by


class Gauge(_Scalar):
    """A number that goes up and down."""

    kind = "gauge"

    def set(self, value: float, *label_values: object) -> None:
        """Make it `value`."""
        numbers = self._series.get(label_values) or self._add(label_values)
        numbers[0] = value

    def inc(self, *label_values: object, by: float = 1.0) -> None:
        """Add `by`."""
        numbers = self._series.get(label_values) or self._add(label_values)
        numbers[0] += by

    def dec(self, *label_values: object, by: float = 1.0) -> None:
        """Subtract `by`."""
        self.inc(*label_values, by=-by)


class Histogram(Metric):
    """The numbers of observations up to each of several bounds, and the sum of the observations."""

    kind = "histogram"

    def __init__(
        self, name: str, help: str, labels: tuple[str, ...] = (), buckets: Sequence[float] = DEFAULT_BUCKETS
    ) -> None:
        super().__init__(name, help, labels)
        if "le" in labels:
            raise ValueError(f"{name}: a histogram's label cannot be called le")
        self._bounds = [float(bound) for bound in buckets]
        if not all(map(isfinite, self._bounds)) or self._bounds != sorted(set(self._bounds)):
            raise ValueError(f"{name}: buckets must be finite and in ascending order: {buckets}")
        self._bound_pairs = [f'le="{bound}"' for bound in (*map(_number, self._bounds), "+Inf")]
        if not labels:
            self._series[()] = self._new()

    def _new(self) -> list[float]:
        """Return zeros: a count for each bucket, the last without an upper bound, and the sum."""
        return [*([0] * (len(self._bounds) + 1)), 0.0]

    def observe(self, seconds: float, *label_values: object) -> None:
        """Count an observation."""
        numbers = self._series.get(label_values) or self._add(label_values)
        numbers[bisect_left(self._bounds, seconds)] += 1
        numbers[-1] += seconds

    def names(self) -> set[str]:
        """Return its own name and the names of its samples."""
        return {self.name, *(f"{self.name}_{part}" for part in ("bucket", "sum", "count"))}

    def _samples(self, pairs: list[str], numbers: list[float]) -> Iterator[str]:
        count = 0.0
        for bound, number in zip(self._bound_pairs, numbers, strict=False):  # the sum has no bound
            count += number
            yield f"{self.name}_bucket{_braces([*pairs, bound])} {_number(count)}"
        yield f"{self.name}_sum{_braces(pairs)} {_number(numbers[-1])}"
        yield f"{self.name}_count{_braces(pairs)} {_number(count)}"


class Registry:
    """The metrics of a process, in order of creation; a second metric of the same name is a ValueError."""

    def __init__(self) -> None:
        self._metrics: list[Metric] = []
        self._names: set[str] = set()

    def counter(
        self, name: str, help: str, labels: tuple[str, ...] = (), *, value: Callable[[], float] | None = None
    ) -> Counter:
        """Make a counter, of a function's value if there is one."""
        return self._add(Counter(name, help, labels, value=value))

    def gauge(
        self, name: str, help: str, labels: tuple[str, ...] = (), *, value: Callable[[], float] | None = None
    ) -> Gauge:
        """Make a gauge, of a function's value if there is one."""
        return self._add(Gauge(name, help, labels, value=value))

    def histogram(
        self, name: str, help: str, labels: tuple[str, ...] = (), buckets: Sequence[float] = DEFAULT_BUCKETS
    ) -> Histogram:
        """Make a histogram."""
        return self._add(Histogram(name, help, labels, buckets))

    def _add(self, metric: M) -> M:
        if conflicts := self._names & metric.names():
            raise ValueError(f"cannot add the metric {metric.name}: {min(conflicts)} is there already")
        self._names |= metric.names()
        self._metrics.append(metric)
        return metric

    def render(self) -> str:
        """Return all metrics as text."""
        return "".join(f"{line}\n" for metric in self._metrics for line in metric.render())


def process_metrics(registry: Registry) -> None:
    """Add the standard process metrics of Prometheus' clients."""
    registry.counter("process_cpu_seconds_total", "CPU time, user and system.", value=time.process_time)
    registry.gauge("process_resident_memory_bytes", "Resident memory.", value=_resident_bytes)
    registry.gauge("process_open_fds", "Open file descriptors.", value=_open_descriptors)
    # Computed once: the value would change when the clock is set.
    started = cache(_start_seconds)
    registry.gauge("process_start_time_seconds", "Start time, in seconds since 1970.", value=started)


def _resident_bytes() -> int:
    return int(_proc("statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _open_descriptors() -> int:
    with os.scandir("/proc/self/fd") as entries:
        return sum(1 for _ in entries) - 1  # without the descriptor of this listing


def _start_seconds() -> float:
    # The program's name is in parentheses, and may have parentheses itself; the start is field 22, see
    # proc_pid_stat(5). /proc/stat, which has the time of the boot, is hidden by ProcSubset=pid.
    ticks = int(_proc("stat").rpartition(")")[2].split()[19])
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return round(booted + ticks / os.sysconf("SC_CLK_TCK"), 2)


def _proc(name: str) -> str:
    with open(f"/proc/self/{name}", errors="replace") as file:  # noqa: PTH123 - pathlib is slow to import
        return file.read()


def _check_names(name: str, labels: tuple[str, ...]) -> None:
    if not _is_name(name.replace(":", "_")):
        raise ValueError(f"not a metric's name: {name!r}")
    if isinstance(labels, str):
        raise ValueError(f"{name}: labels are a tuple, not the text {labels!r}")
    for label in labels:
        if not _is_name(label) or label.startswith("__"):
            raise ValueError(f"{name}: not a label's name: {label!r}")
    if len(set(labels)) < len(labels):
        raise ValueError(f"{name}: a label is there twice: {', '.join(labels)}")


def _is_name(text: str) -> bool:
    return text.isascii() and text.isidentifier()


def _clean(text: str) -> str:
    """Return the text without half surrogate pairs, which cannot be encoded."""
    return text.encode("utf-8", "backslashreplace").decode()


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(text: str) -> str:
    return _escape(text).replace('"', '\\"')


def _braces(pairs: list[str]) -> str:
    return f"{{{','.join(pairs)}}}" if pairs else ""


def _number(value: float) -> str:
    value = float(value)
    if isfinite(value):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    return "NaN" if value != value else "+Inf" if value > 0 else "-Inf"
