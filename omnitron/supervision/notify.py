"""Messages to the service manager, by sd_notify(3)."""

from __future__ import annotations

import os


def send(*fields: str) -> bool:
    """Send `fields` (`STATUS=…`) as one message; return whether it was sent: there may be no receiver."""
    import socket  # 2 ms, and a start without a delay sends nothing

    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.settimeout(1)
            channel.sendto("\n".join(fields).encode(), address.replace("@", "\0", 1))
    except OSError:
        return False
    return True
