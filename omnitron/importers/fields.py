"""Common parts of the importers: the frame of a definition, and the fields that every tool has."""

from __future__ import annotations

from omnitron import names
from omnitron.definition.source import KeyPath
from omnitron.importers.command_line import Command
from omnitron.importers.document import Entry
from omnitron.importers.naming import Namer, why_renamed
from omnitron.importers.report import Report

SYSTEM_PATH_NOTE = (
    "systemd looks for a program without a slash in its name only in /usr/local/sbin, /usr/local/bin, /usr/sbin\n"
    "and /usr/bin. A program that only your shell finds (rbenv, nvm, node_modules/.bin) needs its full path."
)


def frame(tool: str, report: Report, project: str, apps: list[Entry]) -> Entry:
    """Return a definition of `apps` under a comment that names its source."""
    definition = Entry(project=project, apps=apps)
    definition.comment(f"Imported from {report.source.path.name} by `omnitron import {tool}`.", "project")
    definition.comment(
        "Settings that could not be carried over are comments in their places. Check this file before you use it.",
        "project",
    )
    return definition


def app_namer() -> Namer:
    """Return a namer for apps."""
    return Namer(names.RESERVED_APPS)


def named(namer: Namer, original: str, report: Report, at: KeyPath) -> Entry:
    """Return the entry of an app called `original`, or the nearest free name."""
    entry = Entry(name=namer.name(original))
    say_renamed(entry, original, entry["name"], report, at, "name")
    return entry


def say_renamed(entry: Entry, original: str, name: str, report: Report, at: KeyPath, above: str) -> None:
    """Add a comment and a warning when something has another name in the definition."""
    if name != original:
        message = why_renamed(original, name)
        entry.comment(f"{original}: {message}", above)
        report.warn(at, message)


def put(entry: Entry, key: str, value: Entry) -> None:
    """Set a mapping in an entry, unless it has neither values nor comments."""
    if value or value.comments:
        entry[key] = value


def set_command(entry: Entry, command: Command) -> None:
    """Set the command of an entry."""
    entry["command"] = command.argv
    if command.needs_group_kill:
        entry.comment(
            "A shell does not pass signals on to its programs: systemd sends them to every process.", "systemd"
        )
        set_directive(entry, "KillMode", "control-group")


def set_directive(entry: Entry, directive: str, value: str | int) -> None:
    """Set a directive of systemd's that has no field of its own."""
    entry.inner("systemd").inner("service")[directive] = value
