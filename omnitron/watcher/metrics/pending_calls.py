"""How many calls a process host is serving, asked on its own socket."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from omnitron.names import instance_of
from omnitron.policy.model import ProcessPolicy

ASKED_AT_ONCE = 16
PATIENCE_S = 0.5
LIMIT = 1 << 20  # bytes
PENDING = re.compile(rb"^omnitron_rpc_pending (\d{1,9})\b", re.MULTILINE)


def control_socket(runtime: Path, process: ProcessPolicy, service: str) -> Path:
    """Return the socket of a process host; `runtime` is the folder that systemd calls `%t`."""
    number = instance_of(service)
    folder = f"{process.control}@{number}" if number is not None else str(process.control)
    return runtime / folder / "control.sock"


def pending_of(sockets: Mapping[str, Path]) -> dict[str, int]:
    """Return the number for each service that answers, by service: all are asked at once, within a bound."""
    if not sockets:
        return {}
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        answers = pool.map(lambda path: pending_calls(str(path)), sockets.values())
        return {unit: count for unit, count in zip(sockets, answers, strict=True) if count is not None}


def pending_calls(path: str) -> int | None:
    """Return the number; None where nobody answers in time."""
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
    found = PENDING.search(answer)
    return int(found[1]) if found else None
