"""Listening sockets: those that systemd passes, by their names in the unit, and our own."""

from __future__ import annotations

import os
import socket
from pathlib import Path

FIRST = 3
BACKLOG = 4096


def inherited() -> dict[str, list[socket.socket]]:
    """Return the sockets of LISTEN_FDS by name; none when LISTEN_PID is another process."""
    if os.environ.pop("LISTEN_PID", None) != str(os.getpid()):
        return {}
    count = int(os.environ.pop("LISTEN_FDS", "0"))
    names = os.environ.pop("LISTEN_FDNAMES", "").split(":")
    sockets: dict[str, list[socket.socket]] = {}
    for number in range(count):
        descriptor = FIRST + number
        os.set_inheritable(descriptor, False)
        name = (names[number] if number < len(names) else "") or "unknown"
        sockets.setdefault(name, []).append(socket.socket(fileno=descriptor))
    return sockets


def listen_unix(path: Path) -> socket.socket:
    """Return a socket that listens at `path`; a file that a killed process left there is replaced."""
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    umask = os.umask(0o077)
    try:
        listening.bind(str(path))
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    finally:
        os.umask(umask)
    return listening


def listen_tcp(host: str, port: int) -> socket.socket:
    """Return a socket that listens at `host:port`, for use without socket activation."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host.strip("[]"), port), family=family, backlog=BACKLOG)
