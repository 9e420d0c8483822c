"""Log entries of units: read through `journalctl`, which knows every format, namespace and rotation."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread
from typing import IO, Any, Literal

from omnitron.errors import NotPermittedError, OmnitronError, UsageError

MACHINE_ID = Path("/etc/machine-id")
JOURNALS = (Path("/var/log/journal"), Path("/run/log/journal"))
JOIN = "join the group systemd-journal: usermod -aG systemd-journal USER"

Level = Literal["fatal", "error", "warn", "info", "debug", "trace"]

PRIORITIES: dict[Level, int] = {"fatal": 2, "error": 3, "warn": 4, "info": 6, "debug": 7, "trace": 7}
"""The least severe syslog priority that each level takes in."""

UNIT_FIELDS = (
    "_SYSTEMD_UNIT",
    "_SYSTEMD_USER_UNIT",
    "UNIT",
    "USER_UNIT",
    "OBJECT_SYSTEMD_UNIT",
    "OBJECT_SYSTEMD_USER_UNIT",
    "COREDUMP_UNIT",
    "COREDUMP_USER_UNIT",
)
"""The unit that wrote a line, or that it is about: as a manager's own lines are."""

FIELDS = ("MESSAGE", "MESSAGE_ID", "PRIORITY", "_PID", *UNIT_FIELDS)

SPAWN_FAILED = "641257651c1b4ec9a8624d7a40a9e1e7"
UNIT_FAILED = "d9b373ed55a64feb8242e02dbe79a49c"
"""Values of `MESSAGE_ID` (sd-messages(3), catalog/systemd.catalog)."""

MANAGER_UNIT = "init.scope"
"""The cgroup of the system's manager itself."""
SETTLE_S = 5.0
"""Longest wait for a line that systemd has written to be in the journal."""
RECHECK_S = 0.2
"""Interval of looks for a namespace that has no entry yet."""


@dataclass(frozen=True)
class Query:
    """A query. Units may be glob patterns; None leaves a bound out."""

    units: tuple[str, ...]
    is_user: bool
    namespaces: tuple[str, ...] = ()
    """Journal namespaces to read beside the host's journal."""
    level: Level | None = None
    """This level and more severe ones."""
    grep: str | None = None
    """A Perl-compatible regular expression."""
    since: str | None = None
    """As in systemd.time(7): `2026-01-31 12:00`, `1h ago`."""
    lines: int | None = None
    """The latest so many."""
    matches: tuple[str, ...] = ()
    """Required values of fields, each as `FIELD=value`."""


@dataclass(frozen=True)
class Entry:
    """One entry of the journal."""

    timestamp: int
    """Microseconds of the real-time clock."""
    priority: int
    """Syslog priority, 0 (emergency) to 7 (debug)."""
    message: str
    """The message, control characters and line breaks included; bytes that are not UTF-8 are replaced."""
    pid: int | None
    units: tuple[str, ...]
    """The units that it is of or about, the nearest first."""
    cursor: str
    message_id: str = ""
    """The kind of message, for some of systemd's own."""

    @property
    def level(self) -> Level:
        """The level that fits its priority."""
        return next(level for level, least in PRIORITIES.items() if self.priority <= least)


def read(query: Query) -> Iterator[Entry]:
    """Yield what is there, oldest first. Raises OmnitronError when journalctl refuses."""
    if query.lines is None:
        yield from _run(query, [])
    elif query.lines > 0:
        # Backwards, so that the limit holds for what passes all filters, on every version.
        yield from reversed(list(_run(query, ["--reverse", f"--lines={query.lines}"])))


def follow(query: Query) -> Iterator[Entry]:
    """Yield what is there, then each new entry when it comes; never ends by itself."""
    place = f"--since=@{time.time():.6f}"
    for entry in read(query):
        place = f"--after-cursor={entry.cursor}"
        yield entry
    tail = replace(query, since=None)
    shown: set[str] = set()
    # journalctl does not notice a namespace that is made while it waits: it is started anew then, at the same
    # place, for the first lines there may be older than the last one here.
    while absent := _absent(query.namespaces):
        for entry in _run(tail, ["--follow", "--no-tail", place], ends_when_made=absent):
            if entry.cursor not in shown:
                shown.add(entry.cursor)
                yield entry
    for entry in _run(tail, ["--follow", "--no-tail", place]):
        if entry.cursor not in shown:
            yield entry


def _absent(namespaces: Collection[str]) -> list[str]:
    """Return the namespaces that nothing has been logged to yet."""
    return [name for name in namespaces if not _journals(f".{name}")]


def _journals(suffix: str = "") -> list[Path]:
    """Return the system's journal files, of a namespace when that is the suffix."""
    try:
        machine = MACHINE_ID.read_text().strip()
    except OSError:
        return []
    return [file for folder in JOURNALS if (file := folder / (machine + suffix) / "system.journal").exists()]


def command(query: Query) -> list[str]:
    """Return the command line that asks for `query`."""
    unit = "--user-unit" if query.is_user else "--unit"
    line = ["journalctl", "--output=json", "--all", "--no-pager", f"--output-fields={','.join(FIELDS)}"]
    line += ["--user"] if query.is_user else []
    line += [f"{unit}={name}" for name in query.units]
    if query.namespaces:
        # `+NAME` shows the host's journal too, which has the manager's lines; several at once can only be all.
        line.append(f"--namespace={'*' if len(query.namespaces) > 1 else '+' + query.namespaces[0]}")
    line += [f"--priority={PRIORITIES[query.level]}"] if query.level else []
    line += [f"--grep={query.grep}"] if query.grep else []
    line += [f"--since={query.since}"] if query.since else []
    return [*line, *query.matches]


def _run(query: Query, more: list[str], ends_when_made: Collection[str] = ()) -> Iterator[Entry]:
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        with _start([*command(query), *more], errors) as process:
            assert process.stdout
            if ends_when_made:
                Thread(target=_end_when_made, args=(process, ends_when_made), daemon=True).start()
            try:
                for line in process.stdout:
                    yield parse(json.loads(line))
            except BaseException:
                process.terminate()
                raise
        errors.seek(0)
        _check(errors.read(), process.returncode, query)


def _end_when_made(process: subprocess.Popen[bytes], absent: Collection[str]) -> None:
    """End `process` once one of the namespaces is there."""
    while len(_absent(absent)) == len(absent) and process.poll() is None:
        time.sleep(RECHECK_S)
    process.terminate()


def _start(argv: list[str], errors: IO[str]) -> subprocess.Popen[bytes]:
    try:
        # It has no codes for what it complains of, so `_check` reads its sentences, in one language.
        environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, env=environment)
    except OSError as error:
        raise OmnitronError(
            f"cannot read the journal: journalctl does not run: {(error.strerror or str(error)).lower()}",
            hint="is systemd installed?",
        ) from error


def _check(errors: str, status: int, query: Query) -> None:
    """Raise what journalctl complained of."""
    lines = [line for line in errors.splitlines() if line.strip() and not line.startswith(("-- ", "Hint:", " "))]
    if status <= 0 or not lines:
        return
    if "insufficient permissions" in errors:
        raise NotPermittedError("cannot read the journal: permission denied", hint=f"use sudo, or {JOIN}")
    is_query_error = "timestamp" in lines[0] or "attern" in lines[0]
    kind = UsageError if is_query_error and (query.since or query.grep) else OmnitronError
    raise kind(f"cannot read the journal: {lines[0][:1].lower()}{lines[0][1:]}".rstrip("."))


def sees_only_own() -> bool:
    """Return whether the system's journal is hidden from the caller: lines of services that run as another user."""
    files = _journals()
    return bool(files) and not any(os.access(file, os.R_OK) for file in files)


def why_not_executed(unit: str, *, is_user: bool, namespaces: tuple[str, ...] = ()) -> str | None:
    """Return why the program of a failed unit was not executed, in systemd's words.

    Empty when it was executed after all; None when the journal cannot tell.
    """
    # Not by the unit that a line came from, which the journal looks up and can lose when the process has ended by
    # then: systemd names the unit in each of these lines, those that it writes before the program included.
    named = f"USER_UNIT={unit}" if is_user else f"UNIT={unit}"
    query = Query((), is_user, namespaces, matches=(named,))
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline:
        try:
            entries = [entry for entry in read(query) if is_user or _is_systemds(entry, unit)]
        except OmnitronError:
            return None
        if any(entry.message_id == UNIT_FAILED for entry in entries):
            break
        time.sleep(0.05)
    else:
        return None
    failures = [entry for entry in entries if entry.message_id == SPAWN_FAILED]
    if not failures:
        return ""
    # The first line of the unit's own has the reason, the last one only the step.
    own = [entry for entry in entries if entry.units[:1] == (unit,)]
    return (own or failures)[0].message.removeprefix(f"{unit}: ")


def _is_systemds(entry: Entry, unit: str) -> bool:
    """Return whether a line is the manager's, or of the unit itself: anybody else may name the unit, too."""
    return entry.units[:1] in ((unit,), (MANAGER_UNIT,))


def parse(fields: dict[str, Any]) -> Entry:
    """Return an entry as journalctl's JSON has it."""
    priority = _text(fields.get("PRIORITY"))
    pid = _text(fields.get("_PID"))
    units = (_text(fields.get(name)) for name in UNIT_FIELDS)
    return Entry(
        timestamp=int(fields["__REALTIME_TIMESTAMP"]),
        priority=int(priority) if priority in set("01234567") else PRIORITIES["info"],
        message=_text(fields.get("MESSAGE")),
        pid=int(pid) if pid.isdigit() else None,
        units=tuple(dict.fromkeys(unit for unit in units if unit)),
        cursor=str(fields.get("__CURSOR", "")),
        message_id=_text(fields.get("MESSAGE_ID")),
    )


def _text(value: Any) -> str:
    """Return a field's text: a string, bytes as an array of numbers, or an array of several such values."""
    if isinstance(value, list):
        if value and all(isinstance(item, int) for item in value):
            return bytes(value).decode(errors="replace")
        return "\n".join(_text(item) for item in value)
    return "" if value is None else str(value)
