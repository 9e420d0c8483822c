"""Facts about the systemd of this host that need no bus."""

from __future__ import annotations

import os
import re
import subprocess
from functools import cache
from pathlib import Path

from omnitron.errors import SystemdUnreachableError


@cache
def version() -> int:
    """Return the major version of the installed systemd; raises SystemdUnreachableError without one."""
    try:
        result = subprocess.run(["systemctl", "--version"], capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError) as error:
        raise SystemdUnreachableError(
            "cannot find out the version of systemd: systemctl does not run",
            hint="install systemd, or name the version of the target with --systemd-version",
        ) from error
    match = re.match(r"systemd (\d+)", result.stdout)
    return int(match[1]) if match else 0


PACKAGED = ("/usr/lib/systemd/system", "/lib/systemd/system")
"""Folders of packaged units of the system's manager."""
PACKAGED_WATCHER = Path("/usr/lib/systemd/system/omnitron-watcher.service")
"""The watcher's unit where omnitron's own package brings it."""


def packaged_units() -> frozenset[str]:
    """Return the names of the unit files that packages have brought."""
    return frozenset(file.name for folder in map(Path, PACKAGED) if folder.is_dir() for file in folder.iterdir())


def is_booted() -> bool:
    """Return whether systemd is PID 1 here (sd_booted(3))."""
    return Path("/run/systemd/system").is_dir()


def bus_path(is_user: bool) -> Path:
    """Return the socket of the bus that the manager is on."""
    if not is_user:
        return Path("/run/dbus/system_bus_socket")
    address = os.environ.get("DBUS_SESSION_BUS_ADDRESS", "")
    match = re.match(r"unix:path=([^,;]+)", address)
    return Path(match[1]) if match else runtime_folder(is_user) / "bus"


def runtime_folder(is_user: bool) -> Path:
    """Return what the manager calls `%t`."""
    return Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}") if is_user else Path("/run")


def unreachable(is_user: bool, why: str) -> SystemdUnreachableError:
    """Return the error for a manager that does not answer, with the cure that fits this host."""
    whose = "your user's systemd" if is_user else "systemd"
    if not is_booted():
        hint = "systemd does not run here: try `omnitron sandbox up`, or write units for elsewhere with --root"
    elif is_user:
        hint = "log in through PAM (not su), or keep your manager running: loginctl enable-linger"
    else:
        hint = "the system bus must run: systemctl start dbus"
    return SystemdUnreachableError(f"cannot reach {whose}: {why}", hint=hint)
