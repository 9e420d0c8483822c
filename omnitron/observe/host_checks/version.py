"""The version of systemd."""

from __future__ import annotations

from collections.abc import Iterator

from omnitron.errors import OmnitronError
from omnitron.observe.host_checks.finding import Finding
from omnitron.observe.host_checks.subject import Subject
from omnitron.systemd import local
from omnitron.version import OLDEST_SYSTEMD


def check(subject: Subject) -> Iterator[Finding]:
    """Look at the version of systemd."""
    try:
        version = local.version()
    except OmnitronError as error:
        yield Finding("systemd", "fail", error.brief, "apt install systemd")
        return
    if version < OLDEST_SYSTEMD:
        cure = "upgrade the host: Debian 12, Ubuntu 24.04, RHEL 9 and later have it"
        yield Finding("systemd", "fail", f"version {version} is too old: {OLDEST_SYSTEMD} is the oldest", cure)
        return
    yield Finding("systemd", "ok", f"version {version}")
