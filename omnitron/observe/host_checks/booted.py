"""True if systemd runs this host, or a sandbox could."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from omnitron.observe.host_checks.finding import Finding
from omnitron.observe.host_checks.subject import Subject
from omnitron.systemd import local


def check(subject: Subject) -> Iterator[Finding]:
    """Look whether systemd runs, or a sandbox could."""
    if local.is_booted():
        yield Finding("booted", "ok", "systemd runs this host")
        return
    yield Finding("booted", "fail", "systemd does not run here: nothing can be started", "omnitron sandbox up")
    if not shutil.which("systemd-nspawn"):
        yield Finding("sandbox", "fail", "systemd-nspawn is not installed", "apt install systemd-container")
