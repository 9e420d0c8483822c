"""What the importers share: the frame of a definition, and the fields that every tool has."""

from __future__ import annotations

from omnitron import names
from omnitron.definition.source import KeyPath
from omnitron.importers.document import Entry
from omnitron.importers.naming import Namer, why_renamed
from omnitron.importers.report import Report
from omnitron.importers.shell import Command

SYSTEM_PATH_NOTE = (
    "A program without a slash in its name is looked for where systemd looks: in /usr/local/sbin, /usr/local/bin,\n"
    "/usr/sbin and /usr/bin. What only your shell's PATH has (rbenv, nvm, node_modules/.bin) needs its full path."
)


def frame(tool: str, report: Report, project: str, apps: list[Entry]) -> Entry:
    """Return a definition of `apps` under a heading that says where it comes from."""
    definition = Entry(project=project, apps=apps)
    definition.comment(f"Imported from {report.source.path.name} by `omnitron import {tool}`.", "project")
    definition.comment(
        "What could not be carried over is a comment at its place. Check it, then it is yours.", "project"
    )
    return definition


def app_namer() -> Namer:
    """Return a namer for apps."""
    return Namer(names.RESERVED_APPS)


def named(namer: Namer, wanted: str, report: Report, at: KeyPath) -> Entry:
    """Return the entry of an app called `wanted`, or the nearest name that is free."""
    entry = Entry(name=namer.name(wanted))
    say_renamed(entry, wanted, entry["name"], report, at, "name")
    return entry


def say_renamed(entry: Entry, wanted: str, found: str, report: Report, at: KeyPath, above: str) -> None:
    """Say that something has another name here, when it has."""
    if found != wanted:
        message = why_renamed(wanted, found)
        entry.comment(f"{wanted}: {message}", above)
        report.warn(at, message)


def put(entry: Entry, key: str, value: Entry) -> None:
    """Give an entry a mapping, unless there is nothing in it: neither values nor comments."""
    if value or value.comments:
        entry[key] = value


def set_command(entry: Entry, command: Command) -> None:
    """Give an entry the command of a shell's line."""
    entry["command"] = command.argv
    if command.needs_group_kill:
        entry.comment("A shell passes no signal on to what it runs: systemd signals every process.", "systemd")
        set_directive(entry, "KillMode", "control-group")


def set_directive(entry: Entry, directive: str, value: str | int) -> None:
    """Give an entry a directive of systemd's that has no field of its own."""
    entry.inner("systemd").inner("service")[directive] = value
