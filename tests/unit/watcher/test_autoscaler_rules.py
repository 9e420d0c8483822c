"""How many instances the load asks for."""

from __future__ import annotations

import socket
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitron.policy.model import ScalingPolicy
from omnitron.watcher.autoscaler.autoscaler import free_numbers
from omnitron.watcher.autoscaler.rules import Decision, Load, Past, Rules, decide
from omnitron.watcher.metrics.pending_calls import pending_calls
from tests.support.policies import policy

RULES = Rules(least=2, most=8, target_cpu=70, target_memory=80, queue_threshold=10, cooldown_s=60)


def wanted(load: Load, past: Past = Past(), now: float = 1000.0) -> int | None:  # noqa: B008 - it cannot be changed
    decision = decide(RULES, load, past, now)
    return decision.instances if decision else None


@pytest.mark.parametrize(
    ("load", "instances"),
    [
        (Load(2, 71, None, None), 3),
        (Load(2, 70, None, None), None),
        (Load(2, 10, 81, None), 3),
        (Load(2, 10, 80, None), None),
        (Load(2, 10, None, 11), 4),
        (Load(2, 10, None, 35), 6),
        (Load(2, 10, None, 1000), 8),
        (Load(2, 10, None, 4), 3),
        (Load(2, 10, None, 3), None),
        (Load(8, 100, 100, 1000), None),
        (Load(4, 27, None, None), 3),
        (Load(4, 29, None, None), None),
        (Load(4, 1, 39, 2), 3),
        (Load(4, 1, 41, 2), None),
        (Load(4, 1, 1, 3), None),
        (Load(2, 0, 0, 0), None),
        (Load(4, None, None, None), None),
        (Load(0, None, None, None), None),
    ],
)
def test_what_the_load_asks_for(load: Load, instances: int | None) -> None:
    assert wanted(load) == instances


@pytest.mark.parametrize(
    ("running", "given_up", "numbers"),
    [((), (), [1, 2, 3, 4]), ((1, 3), (), [2, 4]), ((1,), (2, 3), [4]), ((1,), (2, 3, 4), []), ((1, 5), (2, 3, 4), [])],
)
def test_what_was_given_up_is_not_started_and_nothing_beyond_the_most(
    tmp_path: Path, running: tuple[int, ...], given_up: tuple[int, ...], numbers: list[int]
) -> None:
    stack = policy(tmp_path, {"name": "pool", "instances": 2})
    process = replace(stack.apps[0].processes[0], instances=1, scaling=ScalingPolicy(4, 70, 80, 10, 60_000, None))
    assert free_numbers(process, map(process.service, running), map(process.service, given_up)) == numbers


def test_a_change_is_given_time() -> None:
    busy = Load(2, 100, None, None)
    assert wanted(busy, Past(950.0)) is None
    assert wanted(busy, Past(940.0)) == 3


@pytest.mark.parametrize(("failures", "pause"), [(0, 60), (1, 120), (2, 240), (3, 300), (50, 300)])
def test_what_failed_is_tried_again_later_and_later(failures: int, pause: float) -> None:
    busy = Load(2, 100, None, None)
    assert wanted(busy, Past(1000.0 - pause + 1, failures)) is None
    assert wanted(busy, Past(1000.0 - pause, failures)) == 3


def test_a_decision_says_why() -> None:
    assert decide(RULES, Load(2, 93.4, None, None), Past(), 0) == Decision(
        3, "CPU is at 93 % for each instance, above 70 %"
    )


SHARES = st.none() | st.floats(0, 200)


@given(st.integers(0, 20), SHARES, SHARES, st.none() | st.integers(0, 10_000))
def test_it_stays_inside_its_bounds(count: int, cpu: float | None, memory: float | None, pending: int | None) -> None:
    instances = wanted(Load(count, cpu, memory, pending))
    if instances is not None:
        assert instances != count
        # By hand, a pool may be outside of its bounds: it comes back, step by step.
        assert min(RULES.least, count) <= instances <= max(RULES.most, count)


@pytest.mark.parametrize(
    ("answer", "count"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n# TYPE omnitron_rpc_pending gauge\nomnitron_rpc_pending 17\nx 1\n", 17),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", None),
        (b"", None),
    ],
)
def test_pending_calls_are_asked_for(tmp_path: Path, answer: bytes, count: int | None) -> None:
    path = str(tmp_path / "control.sock")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()

        def serve() -> None:
            client, _ = server.accept()
            with client:
                client.recv(1000)
                client.sendall(answer)

        worker = threading.Thread(target=serve)
        worker.start()
        assert pending_calls(path) == count
        worker.join()


def test_nobody_answers(tmp_path: Path) -> None:
    assert pending_calls(str(tmp_path / "nothing.sock")) is None
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent.sock"))
        silent.listen()
        assert pending_calls(str(tmp_path / "silent.sock")) is None
