"""The folders whose owners are as good as root."""

from __future__ import annotations

from collections.abc import Iterator

from omnitron.authority import trusted_folders
from omnitron.errors import OmnitronError
from omnitron.observe.host_checks.finding import Finding
from omnitron.observe.host_checks.subject import Subject


def check(subject: Subject) -> Iterator[Finding]:
    """Name each trusted folder, and those in which the trust has ended."""
    try:
        folders = trusted_folders.read_all()
    except OmnitronError as error:
        yield Finding("trust", "fail", error.brief, error.hint)
        return
    for folder in folders:
        if not folder.has_account:
            message = f"{folder.path} is trusted, and its owner has no account: whoever gets {folder.owner} is as root"
            yield Finding("trust", "warn", message, f"omnitron trust --remove {folder.path}")
        elif folder.is_current():
            yield Finding("trust", "ok", f"{folder.owner} is as good as root: {folder.path} is trusted, by {folder.by}")
        else:
            message = f"{folder.path} is trusted no more: it is away, or does not belong to {folder.owner}"
            yield Finding("trust", "warn", message, f"omnitron trust --remove {folder.path}, or trust it again")
