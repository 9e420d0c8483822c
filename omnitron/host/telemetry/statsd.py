"""Sends the metrics of a process as StatsD packets: the increase of each counter, the value of each gauge.

The format is that of Etsy's StatsD: `NAME:VALUE|c` and `NAME:VALUE|g`, several lines in a packet. It has no labels:
their values become parts of the name.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket

from omnitron.host.telemetry.metrics import Registry

HOST, PORT = "STATSD_HOST", "STATSD_PORT"
"""Variables with the address of the server; 127.0.0.1 and 8125 by default."""
PACKET = 1432
"""Bytes of payload that fit into an Ethernet frame."""
SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)")
VALUE = re.compile(r'="((?:[^"\\]|\\.)*)"')
log = logging.getLogger(__name__)


async def send(registry: Registry, prefix: str, interval_s: float) -> None:
    """Send a round of packets each interval, until cancelled. Over UDP: packets may get lost."""
    address = os.environ.get(HOST, "127.0.0.1"), int(os.environ.get(PORT, "8125"))
    before: dict[str, float] = {}
    is_reported = False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        while True:
            await asyncio.sleep(interval_s)
            lines, before = changes(registry.render(), prefix, before)
            for packet in packets(lines):
                try:
                    sender.sendto(packet, address)
                except OSError as error:
                    if not is_reported:
                        log.warning("cannot send metrics to %s:%s: %s", *address, error.strerror or error)
                    is_reported = True


def changes(text: str, prefix: str, before: dict[str, float]) -> tuple[list[str], dict[str, float]]:
    """Return the lines for a text in Prometheus' format, and the counts to compare the next text with."""
    lines: list[str] = []
    counts: dict[str, float] = {}
    kinds: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            kinds[name] = kind
        elif sample := SAMPLE.fullmatch(line):
            name, labels, value = sample[1], sample[2] or "", float(sample[3])
            kind = kinds.get(name) or kinds.get(name.rpartition("_")[0], "gauge")
            if name.endswith("_bucket"):
                continue  # StatsD has no histograms: only count and sum are sent
            key = ".".join(_part(part) for part in (*prefix.split("."), name, *VALUE.findall(labels)))
            if kind == "gauge":
                lines.append(f"{key}:{value:g}|g")
                continue
            counts[key] = value
            if more := value - before.get(key, 0.0):
                lines.append(f"{key}:{more:g}|c")
    return lines, counts


def packets(lines: list[str]) -> list[bytes]:
    """Return the lines in packets that fit into an Ethernet frame."""
    parts: list[bytes] = []
    for line in (line.encode() for line in lines):
        if parts and len(parts[-1]) + 1 + len(line) <= PACKET:
            parts[-1] += b"\n" + line
        else:
            parts.append(line)
    return parts


def _part(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", text) or "_"
