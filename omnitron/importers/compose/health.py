"""The health check of a compose service."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from omnitron.definition.fields import parse_argv
from omnitron.importers.document import Entry
from omnitron.importers.quantities import go_duration, span, within
from omnitron.importers.report import Section

DEFAULT_INTERVAL = 30_000
DEFAULT_TIMEOUT = 30_000
DEFAULT_RETRIES = 3
MAX_RETRIES = 1000


@dataclass(frozen=True)
class Check:
    """A health check of compose. Times in milliseconds; None where it is not set."""

    command: str | list[str] | None
    """A shell's command line, or arguments; None switches the check off."""
    interval: int | None
    timeout: int | None
    retries: int | None
    start_period: int | None


def read(section: Section, entry: Entry) -> Check | None:
    """Return the service's own check or None; settings that cannot be carried over become comments in `entry`."""
    inner = section.section("healthcheck")
    if inner is None:
        return None
    retries = inner.whole("retries")
    if retries is not None and not 1 <= retries <= MAX_RETRIES:
        if retries:
            inner.left(entry, "retries", f"it must be between 1 and {MAX_RETRIES}")
        retries = None
    off = inner.flag("disable")
    check = Check(
        None if off else _command(inner),
        inner.parsed("interval", go_duration),
        inner.parsed("timeout", go_duration),
        retries,
        inner.parsed("start_period", go_duration),
    )
    inner.unread.discard("test")
    inner.leave_rest(entry, "a check has no such field")
    has_test = inner.data.get("test") is not None
    return check if off or has_test else None


def _command(inner: Section) -> str | list[str] | None:
    test = inner.data.get("test")
    if test is None or isinstance(test, str):
        return inner.text("test")
    words = inner.texts("test")
    if words[:1] == ["CMD-SHELL"] and len(words) == 2:
        return words[1]
    if words[:1] == ["CMD"] and len(words) > 1:
        return words[1:]
    if words != ["NONE"]:
        inner.wrong("test", "cannot use this value: it must be text, or a list that begins with CMD, CMD-SHELL or NONE")
    return None


def give(entry: Entry, section: Section, check: Check) -> None:
    """Set the check as the probe of an app; apps that depend on it start after its first success."""
    if check.command is None:
        entry["health"] = Entry(enabled=False)
        return
    try:
        parse_argv(["/bin/sh"] if isinstance(check.command, str) else check.command)
    except ValueError as error:
        section.left(entry, "healthcheck", str(error))
        return
    health = Entry(probe=Entry(type="command", command=check.command))
    times: dict[str, Any] = {"interval": check.interval, "timeout": check.timeout or DEFAULT_TIMEOUT}
    health.update((key, span(value)) for key, value in times.items() if value is not None)
    if check.retries is not None:
        health["retries"] = check.retries
    entry["health"] = health
    entry["startupTimeout"] = span(_startup(check))
    entry.comment(
        "The time that compose allows: start_period, then the checks that may fail (retries).", "startupTimeout"
    )


def _startup(check: Check) -> int:
    retries = check.retries or DEFAULT_RETRIES
    total = (check.start_period or 0) + retries * (check.interval or DEFAULT_INTERVAL)
    try:
        return within(total)
    except ValueError:
        return check.start_period or DEFAULT_INTERVAL
