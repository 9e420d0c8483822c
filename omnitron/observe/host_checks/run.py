"""True if `omnitron run` has what it needs."""

from __future__ import annotations

from collections.abc import Iterator

from omnitron.errors import OmnitronError
from omnitron.observe.host_checks.finding import Finding
from omnitron.observe.host_checks.subject import Subject
from omnitron.systemd.transient import require_pystemd


def check(subject: Subject) -> Iterator[Finding]:
    """Look whether `omnitron run` has what it needs."""
    try:
        require_pystemd()
    except OmnitronError as error:
        yield Finding("run", "warn", "pystemd is not installed: `omnitron run` will not work", error.hint)
    else:
        yield Finding("run", "ok", "pystemd is installed")
