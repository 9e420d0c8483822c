"""`logs`: the lines of apps in the journal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from omnitron.errors import UsageError
from omnitron.observe.log_lines import Line, Sources, all_targets
from omnitron.operations.installed import stacks
from omnitron.policy.addresses import resolve
from omnitron.systemd import journal

DEFAULT_LINES = 50
LEVELS = ("fatal", "error", "warn", "info", "debug", "trace")


@dataclass(frozen=True)
class LogFilter:
    """The choice of lines to read."""

    level: str | None = None
    """This one of LEVELS and more severe ones; all if None."""
    grep: str | None = None
    """A regular expression that messages match."""
    since: str | None = None
    """A time as journalctl reads it."""
    lines: int | None = DEFAULT_LINES
    """The latest so many; all if None."""


def sources(address: str | None, stack: str | None, *, is_user: bool, folder: Path) -> Sources:
    """Return the units whose lines an address means, of one stack or of all."""
    policies = stacks(is_user=is_user)
    chosen = stacks(is_user=is_user, name=stack) if stack else policies
    return Sources(resolve(address, chosen, folder) if address else all_targets(chosen), policies)


def lines(of: Sources, select: LogFilter, *, is_user: bool, follow: bool) -> Iterator[Line | None]:
    """Yield the lines, and with `follow` each new one as it comes; None for an entry that is of no app."""
    query = journal.Query(
        units=of.units,
        is_user=is_user,
        namespaces=of.namespaces,
        level=select.level,  # type: ignore[arg-type] # one of its literals
        grep=select.grep,
        since=select.since,
        lines=select.lines,
    )
    for entry in (journal.follow if follow else journal.read)(query):
        yield of.line(entry)


def hidden_lines(*, is_user: bool) -> str | None:
    """Return what to do so that lines of other users and of systemd are seen; None where they are."""
    return None if is_user or not journal.sees_only_own() else journal.JOIN


def check_level(text: str | None, levels: Sequence[str] = LEVELS) -> str | None:
    """Return the name of a level; raises UsageError for another word."""
    if text is not None and text.lower() not in levels:
        raise UsageError(f"cannot filter by the level {text!r}: it is one of {', '.join(levels)}")
    return text.lower() if text else None


def check_lines(text: str | None, since: str | None) -> int | None:
    """Return a number of lines, None for all of them; raises UsageError for what is neither."""
    if text == "all" or (text is None and since):
        return None
    if text is not None and not text.isdecimal():
        raise UsageError(f"cannot show {text!r} lines: give a number, or `all`")
    return DEFAULT_LINES if text is None else int(text)
