"""True if what is installed can be read and is complete."""

from __future__ import annotations

from collections.abc import Iterator

from omnitron.observe.host_checks.finding import Finding
from omnitron.observe.host_checks.subject import Subject


def check(subject: Subject) -> Iterator[Finding]:
    """Look whether what is installed can be read and is complete."""
    for error in subject.errors:
        yield Finding("installed", "fail", error, "omnitron generate")
    for path in subject.lost_manifests:
        message = f"{path} is missing: omnitron no longer knows which files of this stack are its own"
        yield Finding("installed", "fail", message, "put it back from a backup; until then nothing is overwritten")
    if subject.interrupted:
        message = "a change was interrupted: files may be half old, half new"
        yield Finding("installed", "warn", message, "omnitron generate finishes it")
    if subject.units and not subject.errors and not subject.interrupted:
        yield Finding("installed", "ok", f"{len(subject.units)} files")
