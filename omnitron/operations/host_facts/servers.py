"""The servers that are installed on this host, and the settings that they refuse."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from omnitron.infra.services import Kind
from omnitron.planner.facts import ServerSettings

PROGRAMS = {
    "postgres": "/usr/lib/postgresql/*/bin/postgres",
    "redis-server": "/usr/bin/redis-server",
    "nginx": "/usr/sbin/nginx",
    "nginx-lua": "/usr/lib/nginx/modules/ngx_http_lua_module.so",
    "lua-nginx-redis": "/usr/share/lua/5.1/nginx/redis.lua",
    "docker": "/usr/bin/docker",
}
PATIENCE_S = 5


def programs() -> frozenset[str]:
    """Return which of the servers that we know are installed."""
    return frozenset(name for name, pattern in PROGRAMS.items() if any(map(_is_there, _matches(pattern))))


def _matches(pattern: str) -> Iterator[Path]:
    return Path("/").glob(pattern.lstrip("/"))


def _is_there(path: Path) -> bool:
    return os.access(path, os.R_OK)


def refusals(settings: Iterable[ServerSettings]) -> dict[ServerSettings, str | None]:
    """Return the errors of the servers about settings, by these; None where they accept them."""
    return {(kind, values): _refusal(kind, dict(values)) for kind, values in settings}


def _refusal(kind: Kind, settings: Mapping[str, str]) -> str | None:
    """Return what a server of the host's says of settings that it would not start with; None when it would.

    PostgreSQL can be asked without being started; nothing is known of others.
    """
    servers = sorted(_matches(PROGRAMS["postgres"]), key=lambda path: path.parts[-3].zfill(4))
    if kind != "postgres" or not servers:
        return None
    argv = [str(servers[-1]), "-D", "/", "-c", "config_file=/dev/null"]
    argv += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    # It refuses to be root, whatever it is asked.
    account: dict[str, Any] = {"user": kind, "group": kind, "extra_groups": []} if os.geteuid() == 0 else {}
    try:
        done = subprocess.run(
            [*argv, "-C", "port"], capture_output=True, text=True, timeout=PATIENCE_S, env={"LC_ALL": "C"}, **account
        )
    except (OSError, ValueError, LookupError, subprocess.TimeoutExpired):
        return None  # it says so when it starts
    lines = [line.partition("FATAL:")[2].strip() for line in done.stderr.splitlines() if "FATAL:" in line]
    return lines[0] if done.returncode and lines else None
