"""What this host has for services: the servers that are installed, and the ports that are taken."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = {
    "postgres": "/usr/lib/postgresql/*/bin/postgres",
    "redis-server": "/usr/bin/redis-server",
    "nginx": "/usr/sbin/nginx",
    "nginx-lua": "/usr/lib/nginx/modules/ngx_http_lua_module.so",
    "lua-nginx-redis": "/usr/share/lua/5.1/nginx/redis.lua",
    "docker": "/usr/bin/docker",
}
LISTEN = "0A"
"""The state of a listening socket in /proc/net/tcp."""


def programs() -> frozenset[str]:
    """Return which of the servers that we know are installed."""
    return frozenset(name for name, pattern in PROGRAMS.items() if any(map(_is_there, _matches(pattern))))


def _matches(pattern: str) -> Iterator[Path]:
    return Path("/").glob(pattern.lstrip("/"))


def _is_there(path: Path) -> bool:
    return os.access(path, os.R_OK)


def listening() -> frozenset[int]:
    """Return the TCP ports that somebody listens on; none where that cannot be seen."""
    found: set[int] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in (line.split() for line in lines):
            if fields[3] == LISTEN:
                found.add(int(fields[1].rpartition(":")[2], 16))
    return frozenset(found)
