"""Listening sockets: those that systemd passes on, by the name that the unit gives them."""

from __future__ import annotations

import os
import socket
from pathlib import Path

FIRST = 3
BACKLOG = 4096


def inherited() -> dict[str, list[socket.socket]]:
    """Take over the sockets of LISTEN_FDS, by name; none where they are meant for another process."""
    if os.environ.pop("LISTEN_PID", None) != str(os.getpid()):
        return {}
    count = int(os.environ.pop("LISTEN_FDS", "0"))
    names = os.environ.pop("LISTEN_FDNAMES", "").split(":")
    found: dict[str, list[socket.socket]] = {}
    for number in range(count):
        descriptor = FIRST + number
        os.set_inheritable(descriptor, False)
        name = (names[number] if number < len(names) else "") or "unknown"
        found.setdefault(name, []).append(socket.socket(fileno=descriptor))
    return found


def listen_unix(path: Path) -> socket.socket:
    """Return a socket that listens at `path`, in place of what a killed process has left there."""
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
    """Return a socket that listens at `host:port`, where systemd holds none."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host.strip("[]"), port), family=family, backlog=BACKLOG)
