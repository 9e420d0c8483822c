"""How many calls a process host is serving, asked on its own socket."""

from __future__ import annotations

import re
import socket
import time

PATIENCE_S = 0.5
LIMIT = 1 << 20  # bytes
PENDING = re.compile(rb"^omnitron_rpc_pending (\d{1,9})\b", re.MULTILINE)


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
