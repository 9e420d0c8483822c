from __future__ import annotations

import functools
import itertools
import operator
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitron.host.telemetry import metrics
from omnitron.host.telemetry.metrics import Counter, Gauge, Histogram, Registry

ROOT = Path(__file__).parents[3]

SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\.)*",?)*)\})? (\S+)')
LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\\n]|\\.)*)"')
ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}

Labels = frozenset[tuple[str, str]]


def read(text: str) -> dict[tuple[str, Labels], float]:
    """The samples of a page, each of which must be there once."""
    assert not text or text.endswith("\n")
    found: dict[tuple[str, Labels], float] = {}
    for line in text.split("\n")[:-1]:
        if line.startswith(("# HELP ", "# TYPE ")):
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        labels = frozenset(
            (label, re.sub(r"\\.", lambda escape: ESCAPES[escape[0]], value))
            for label, value in LABEL.findall(match[2] or "")
        )
        assert (match[1], labels) not in found, line
        found[match[1], labels] = float(match[3])
    return found


def lines(metric: metrics.Metric) -> str:
    return "\n".join(metric.render())


# Exact text


def test_a_counter() -> None:
    counter = Counter("calls_total", "Calls served.", ("method", "outcome"))
    counter.inc("users.get", "ok")
    counter.inc("users.get", "ok", by=2.5)
    counter.inc("users.put", "error")
    assert lines(counter) == (
        "# HELP calls_total Calls served.\n"
        "# TYPE calls_total counter\n"
        'calls_total{method="users.get",outcome="ok"} 3.5\n'
        'calls_total{method="users.put",outcome="error"} 1'
    )


def test_without_labels_there_is_a_sample_from_the_start() -> None:
    assert lines(Counter("c", "h")).endswith("\nc 0")
    assert lines(Gauge("g", "h")).endswith("\ng 0")
    assert lines(Histogram("s", "h")).endswith("\ns_count 0")
    assert lines(Counter("c", "h", ("a",))).endswith("\n# TYPE c counter")


def test_a_gauge() -> None:
    gauge = Gauge("queue:length", "Jobs.", ("queue",))
    gauge.set(7, "mail")
    gauge.inc("mail")
    gauge.dec("mail", by=0.5)
    gauge.dec("push")
    assert lines(gauge) == (
        "# HELP queue:length Jobs.\n"
        "# TYPE queue:length gauge\n"
        'queue:length{queue="mail"} 7.5\n'
        'queue:length{queue="push"} -1'
    )


def test_a_histogram() -> None:
    histogram = Histogram("seconds", "Time.", ("method",), buckets=(0.1, 1, 2.5))
    for seconds in (0.05, 0.1, 0.5, 2, 60):
        histogram.observe(seconds, "get")
    assert lines(histogram) == (
        "# HELP seconds Time.\n"
        "# TYPE seconds histogram\n"
        'seconds_bucket{method="get",le="0.1"} 2\n'
        'seconds_bucket{method="get",le="1"} 3\n'
        'seconds_bucket{method="get",le="2.5"} 4\n'
        'seconds_bucket{method="get",le="+Inf"} 5\n'
        'seconds_sum{method="get"} 62.65\n'
        'seconds_count{method="get"} 5'
    )


def test_a_registry_renders_in_order() -> None:
    registry = Registry()
    assert registry.render() == ""
    registry.gauge("b", "B.").set(2)
    registry.counter("a", "A.").inc()
    registry.histogram("h", "H.", buckets=()).observe(3)
    assert registry.render() == (
        "# HELP b B.\n# TYPE b gauge\nb 2\n"
        "# HELP a A.\n# TYPE a counter\na 1\n"
        '# HELP h H.\n# TYPE h histogram\nh_bucket{le="+Inf"} 1\nh_sum 3\nh_count 1\n'
    )


def test_escaping() -> None:
    gauge = Gauge("g", 'back\\slash "quotes"\nline', ("a",))
    gauge.set(1, 'back\\slash "quotes"\nline')
    assert lines(gauge) == (
        '# HELP g back\\\\slash "quotes"\\nline\n# TYPE g gauge\ng{a="back\\\\slash \\"quotes\\"\\nline"} 1'
    )


def test_half_a_surrogate_pair_does_not_spoil_the_page() -> None:
    gauge = Gauge("g", "\ud800", ("a",))
    gauge.set(1, "\udcff")
    gauge.set(2, "\udcff")
    assert lines(gauge).encode() == b'# HELP g \\\\ud800\n# TYPE g gauge\ng{a="\\\\udcff"} 2'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((0, "0"), (-0.0, "0"), (True, "1"), (12.0, "12"), (0.1, "0.1"), (2**53, "9007199254740992.0")),
        *((1e300, "1e+300"), (float("inf"), "+Inf"), (float("-inf"), "-Inf"), (float("nan"), "NaN")),
    ],
)
def test_numbers(value: float, text: str) -> None:
    gauge = Gauge("g", "")
    gauge.set(value)
    assert lines(gauge).rpartition(" ")[2] == text


def test_a_value_need_not_be_text() -> None:
    counter = Counter("c", "", ("status",))
    for status in (200, "200", 404, True, 1):
        counter.inc(status)
    assert read(lines(counter) + "\n") == {
        ("c", frozenset({("status", status)})): count
        for status, count in {"200": 2, "404": 1, "True": 1, "1": 1}.items()
    }


# Functions


def test_a_function_is_read_when_rendered() -> None:
    registry, numbers = Registry(), itertools.count(1)
    registry.gauge("g", "G.", value=lambda: next(numbers))
    registry.counter("c", "C.", value=lambda: 0.5)
    assert registry.render() == "# HELP g G.\n# TYPE g gauge\ng 1\n# HELP c C.\n# TYPE c counter\nc 0.5\n"
    assert "g 2\n" in registry.render()


def test_a_function_that_fails_costs_its_own_sample(caplog: pytest.LogCaptureFixture) -> None:
    registry = Registry()
    registry.gauge("bad", "", value=lambda: 1 / 0)
    registry.gauge("good", "", value=lambda: 1)
    assert read(registry.render()) == {("good", frozenset()): 1}
    assert caplog.messages == ["cannot read bad: division by zero"]


def test_a_function_and_numbers_do_not_mix() -> None:
    gauge = Gauge("g", "", value=lambda: 1)
    with pytest.raises(ValueError, match="what its function returns"):
        gauge.set(2)
    with pytest.raises(ValueError, match="cannot be a function"):
        Gauge("g", "", ("a",), value=lambda: 1)


# Bounds


def test_series_are_bounded() -> None:
    counter, histogram = Counter("c", "", ("a", "b")), Histogram("h", "", ("a",), buckets=(1,))
    for client in range(metrics.MAX_SERIES + 500):
        counter.inc("x", str(client))
        histogram.observe(client, str(client))
    counter.inc("x", "3")
    counter.inc("x", 3)
    samples = read(lines(counter) + "\n")
    assert len(samples) == metrics.MAX_SERIES == 1000
    assert samples["c", frozenset({("a", "x"), ("b", "3")})] == 3
    assert samples["c", frozenset({("a", "other"), ("b", "other")})] == 501
    samples = read(lines(histogram) + "\n")
    assert len(samples) == metrics.MAX_SERIES * 4
    assert samples["h_count", frozenset({("a", "other")})] == 501


def test_other_may_be_there_before() -> None:
    gauge = Gauge("g", "", ("a",))
    gauge.set(1, "other")
    for client in range(2000):
        gauge.set(2, client)
    samples = read(lines(gauge) + "\n")
    assert len(samples) == 999  # what is kept for it is not used twice
    assert samples["g", frozenset({("a", "other")})] == 2


def test_values_are_bounded() -> None:
    counter = Counter("c", "", ("a",))
    counter.inc("x" * 10_000)
    counter.inc("x" * 20_000)
    assert read(lines(counter) + "\n") == {("c", frozenset({("a", "x" * 200)})): 2}


# Mistakes


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a b", "ä", "a\n", "a.b"])
def test_names_of_metrics(name: str) -> None:
    with pytest.raises(ValueError, match="not a metric's name"):
        Counter(name, "")


@pytest.mark.parametrize("labels", [("",), ("1a",), ("a-b",), ("a:b",), ("ä",), ("__a",), ("a", "a"), "method"])
def test_names_of_labels(labels: tuple[str, ...]) -> None:
    for kind in (Counter, Gauge, Histogram):
        with pytest.raises(ValueError, match="label"):
            kind("a", "", labels)


@pytest.mark.parametrize("buckets", [(1, 1), (2, 1), (1, float("inf")), (float("nan"),)])
def test_buckets(buckets: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="buckets must be"):
        Histogram("h", "", buckets=buckets)


def test_le_is_the_bucket() -> None:
    with pytest.raises(ValueError, match="le"):
        Histogram("h", "", ("le",))
    Counter("c", "", ("le",)).inc("x")


@pytest.mark.parametrize("by", [-1, float("nan")])
def test_a_counter_only_grows(by: float) -> None:
    with pytest.raises(ValueError, match="only grows"):
        Counter("c", "").inc(by=by)


@pytest.mark.parametrize("values", [(), ("a",), ("a", "b", "c")])
def test_as_many_values_as_labels(values: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="has 2 labels"):
        Counter("c", "", ("x", "y")).inc(*values)


@pytest.mark.parametrize(
    "add",
    [
        lambda registry: registry.counter("h", ""),
        lambda registry: registry.gauge("h_count", ""),
        lambda registry: registry.histogram("h", ""),
        lambda registry: registry.histogram("taken", ""),
    ],
)
def test_a_name_is_taken_once(add: Callable[[Registry], object]) -> None:
    registry = Registry()
    registry.histogram("h", "")
    registry.counter("taken_sum", "")
    with pytest.raises(ValueError, match="is there already"):
        add(registry)


# Any data

NUMBERS = st.floats(0, 1e12)
VALUES = st.text(max_size=20)


@given(st.lists(st.tuples(VALUES, VALUES, NUMBERS), max_size=20))
def test_counts_both_ways(events: list[tuple[str, str, float]]) -> None:
    registry, expected = Registry(), dict[tuple[str, Labels], float]()
    counter = registry.counter("c", "A counter.", ("a", "b"))
    gauge = registry.gauge("g", "A gauge.", ("a",))
    for a, b, number in events:
        counter.inc(a, b, by=number)
        gauge.set(-number, a)
        key = ("c", frozenset({("a", a), ("b", b)}))
        expected[key] = expected.get(key, 0) + number
        expected["g", frozenset({("a", a)})] = -number
    assert read(registry.render()) == expected


@given(
    st.lists(st.floats(-1e6, 1e6), max_size=6, unique=True).map(sorted),
    st.lists(st.tuples(VALUES, st.floats(-1e7, 1e7)), max_size=20),
    VALUES,
)
def test_observations_both_ways(bounds: list[float], events: list[tuple[str, float]], help: str) -> None:
    registry, expected = Registry(), dict[tuple[str, Labels], float]()
    histogram = registry.histogram("h", help, ("a",), bounds)
    for a, number in events:
        histogram.observe(number, a)
    for a in {a for a, _ in events}:
        numbers = [number for value, number in events if value == a]
        for bound in bounds:
            shown = str(int(bound)) if bound == int(bound) else repr(bound)
            count = sum(number <= bound for number in numbers)
            expected["h_bucket", frozenset({("a", a), ("le", shown)})] = count
        expected["h_bucket", frozenset({("a", a), ("le", "+Inf")})] = len(numbers)
        expected["h_count", frozenset({("a", a)})] = len(numbers)
        expected["h_sum", frozenset({("a", a)})] = functools.reduce(operator.add, numbers)  # sum() rounds less
    assert read(registry.render()) == expected


# The process


def test_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry()
    metrics.process_metrics(registry)
    text = registry.render()
    samples = {name: value for (name, _), value in read(text).items()}
    assert "# TYPE process_cpu_seconds_total counter\n" in text
    assert "# TYPE process_open_fds gauge\n" in text
    assert 0 < samples["process_cpu_seconds_total"] <= time.process_time()
    assert 5e6 < samples["process_resident_memory_bytes"] < 1e10
    assert 0 < time.time() - samples["process_start_time_seconds"] < 24 * 3600
    assert samples["process_open_fds"] == len(list(Path("/proc/self/fd").iterdir())) - 1
    opened = [os.open("/dev/null", os.O_RDONLY) for _ in range(3)]
    monkeypatch.setattr(time, "time", lambda: 0)  # the clock is set
    after = {name: value for (name, _), value in read(registry.render()).items()}
    for descriptor in opened:
        os.close(descriptor)
    assert after["process_open_fds"] == samples["process_open_fds"] + 3
    assert after["process_start_time_seconds"] == samples["process_start_time_seconds"]


def test_the_start_of_a_new_process() -> None:
    program = "from omnitron.host.telemetry.metrics import *; r = Registry(); process_metrics(r); print(r.render())"
    before = time.time()
    page = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    started = float(page.split()[-1])
    assert before - 0.05 < started < time.time()
