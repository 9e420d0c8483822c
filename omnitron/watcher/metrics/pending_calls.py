"""The number of pending calls of a process host, read from its control socket."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from omnitron.names import instance_of
from omnitron.policy.model import ProcessPolicy

PARALLEL_REQUESTS = 16
PATIENCE_S = 0.5
LIMIT = 1 << 20  # bytes
PENDING = re.compile(rb"^omnitron_rpc_pending (\d{1,9})\b", re.MULTILINE)


def control_socket(runtime: Path, process: ProcessPolicy, service: str) -> Path:
    """Return the control socket of a process host; `runtime` is the folder `%t` of systemd."""
    number = instance_of(service)
    folder = f"{process.control}@{number}" if number is not None else str(process.control)
    return runtime / folder / "control.sock"


def pending_of(sockets: Mapping[str, Path]) -> dict[str, int]:
    """Return the numbers of the services that answer; up to PARALLEL_REQUESTS are asked at once."""
    if not sockets:
        return {}
    with ThreadPoolExecutor(PARALLEL_REQUESTS) as pool:
        answers = pool.map(lambda path: pending_calls(str(path)), sockets.values())
        return {unit: count for unit, count in zip(sockets, answers, strict=True) if count is not None}


def pending_calls(path: str) -> int | None:
    """Return the number of pending calls; None without an answer in time."""
    give_up = time.monotonic() + PATIENCE_S
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(PATIENCE_S)
            connection.connect(path)
            connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            answer = b""
            while len(answer) < LIMIT and time.monotonic() < give_up and (part := connection.recv(1 << 16)):
                answer += part
    except OSError:
        return None
    match = PENDING.search(answer)
    return int(match[1]) if match else None
