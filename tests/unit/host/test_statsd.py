"""Metrics as StatsD packets."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from omnitron.host.telemetry import statsd
from omnitron.host.telemetry.metrics import Registry
from omnitron.host.telemetry.statsd import PACKET, changes, packets


def registry() -> Registry:
    made = Registry()
    calls = made.counter("calls_total", "Calls.", ("method", "outcome"))
    calls.inc("Shop.add", 'o"k\n', by=3)
    made.gauge("pending", "Pending.").set(2.5)
    made.histogram("seconds", "Time.", ("method",)).observe(0.25, "Shop.add")
    return made


def test_counts_are_told_as_what_has_come_since() -> None:
    made = registry()
    first, counts = changes(made.render(), "p.dev", {})
    assert first == [
        "p.dev.calls_total.Shop_add.o_k_n:3|c",
        "p.dev.pending:2.5|g",
        "p.dev.seconds_sum.Shop_add:0.25|c",
        "p.dev.seconds_count.Shop_add:1|c",
    ]
    assert changes(made.render(), "p.dev", counts)[0] == ["p.dev.pending:2.5|g"]


def test_packets_fit_into_a_frame() -> None:
    lines = [f"name{number}:1|c" for number in range(500)]
    made = packets(lines)
    assert b"\n".join(made).decode().split("\n") == lines
    assert max(map(len, made)) <= PACKET and len(made) > 1


def test_they_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)
        monkeypatch.setenv("STATSD_PORT", str(server.getsockname()[1]))

        async def send() -> bytes:
            task = asyncio.create_task(statsd.send(registry(), "p", 0.01))
            received = await asyncio.to_thread(server.recv, 9999)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            return received

        assert b"p.calls_total.Shop_add.o_k_n:3|c" in asyncio.run(send())
