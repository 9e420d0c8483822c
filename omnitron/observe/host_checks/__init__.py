"""Checks of the host and of what is installed on it: each says how it is, and what to do when it is not well."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from omnitron.observe.host_checks import (
    booted,
    bus,
    cgroups,
    definition,
    edits,
    installed,
    paths,
    permissions,
    room,
    run,
    runtime_folder,
    trust,
    version,
)
from omnitron.observe.host_checks.finding import Finding
from omnitron.observe.host_checks.subject import Subject

CHECKS: tuple[Callable[[Subject], Iterator[Finding]], ...] = (
    version.check,
    booted.check,
    bus.check,
    runtime_folder.check,
    room.check,
    cgroups.check,
    permissions.check,
    run.check,
    trust.check,
    definition.check,
    installed.check,
    edits.check,
    paths.check,
)
"""In the order in which they are shown."""


def examine(subject: Subject) -> list[Finding]:
    """Run every check."""
    return [finding for check in CHECKS for finding in check(subject)]
