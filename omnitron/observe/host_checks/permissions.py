"""Permissions of the caller."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

from omnitron.observe.host_checks.finding import Finding
from omnitron.observe.host_checks.subject import Subject


def check(subject: Subject) -> Iterator[Finding]:
    """Look at what the caller may do."""
    if not subject.is_user:
        if os.geteuid() == 0:
            yield Finding("permissions", "ok", "you are root")
        else:
            message = "you are not root: units can be looked at, not written"
            yield Finding("permissions", "warn", message, "use sudo, or --user for units of your own")
        return
    name = pwd.getpwuid(os.getuid()).pw_name
    if Path("/var/lib/systemd/linger", name).exists():
        yield Finding("permissions", "ok", f"the manager of {name} lasts beyond a login")
    else:
        message = f"the units of {name} stop when the last session ends, and do not start at boot"
        yield Finding("permissions", "warn", message, f"loginctl enable-linger {name}")
