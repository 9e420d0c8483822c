"""XDG_RUNTIME_DIR, where a user's manager and bus are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from omnitron.observe.host_checks.finding import Finding
from omnitron.observe.host_checks.subject import Subject


def check(subject: Subject) -> Iterator[Finding]:
    """Look at XDG_RUNTIME_DIR, where a user's manager and bus are."""
    if not subject.is_user:
        return
    cure = "log in through PAM (ssh, machinectl shell; not su), or export XDG_RUNTIME_DIR=/run/user/$(id -u)"
    path = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(path or f"/run/user/{os.getuid()}")
    if not folder.is_dir():
        yield Finding("runtime-dir", "fail", f"{folder} is not there", cure)
    elif folder.stat().st_uid != os.getuid():
        yield Finding("runtime-dir", "fail", f"XDG_RUNTIME_DIR is {folder}, which is another user's", cure)
    elif not path:
        yield Finding("runtime-dir", "warn", "XDG_RUNTIME_DIR is not set: systemctl --user will not work", cure)
    else:
        yield Finding("runtime-dir", "ok", str(folder))
