"""Imports a Procfile, as foreman, honcho and Heroku read it, with the `.env` file beside it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from omnitron.definition.source import Source
from omnitron.importers import command_line, dotenv, fields, naming
from omnitron.importers.document import Entry, Imported
from omnitron.importers.host_files import Surroundings
from omnitron.importers.report import Report

LINE = re.compile(r"(?P<name>[^\s:#][^\s:]*):\s*(?P<command>\S.*)")
FOREMAN_NAME = re.compile(r"[A-Za-z0-9_-]+")
ENV_FILE = ".env"
FOREMAN_OPTIONS = ".foreman"
RELEASE = "release"
"""The process that Heroku runs once per deployment."""
FIRST_PORT = 5000
PORTS_APART = 100
LAST_PORT = 65535

NOTES = (
    "A Procfile has no number of instances (foreman -m, honcho -c, heroku ps:scale): set `instances`.",
    f"PORT is as with foreman: {FIRST_PORT} (or PORT in {ENV_FILE}), and {PORTS_APART} more for each further process.",
    fields.SYSTEM_PATH_NOTE,
)


@dataclass(frozen=True)
class Line:
    """One process of a Procfile."""

    number: int
    name: str
    command: str
    above: tuple[str, ...] = ()
    """Comments for the lines above it that are not processes."""


def convert(path: Path, text: str, around: Surroundings, project: str | None = None) -> Imported:
    """Return the definition of a Procfile; raises DefinitionError."""
    lines: dict[str, Line] = {}
    places = Source(path, {}, lambda keys: lines[str(keys[0])].number if keys and keys[0] in lines else 0)
    report = Report(places)
    lines, below = _read(path, text, report)
    if not lines and not report.problems:
        report.wrong((), "cannot import: there is no process in it, such as `web: node server.js`")
    env, env_comments = _environment(path, around, report)
    first_port = _first_port(env, env_comments, report)
    namer = fields.app_namer()
    ports = range(first_port, first_port + PORTS_APART * len(lines), PORTS_APART)
    apps = [_app(line, port, env, namer, around, report) for line, port in zip(lines.values(), ports, strict=True)]
    definition = fields.frame("procfile", report, naming.project(project, around.folder), apps)
    for note in NOTES:
        definition.comment(note, "apps")
    for comment in below:
        definition.comment(comment)
    if env:
        definition["stacks"] = Entry(dev=Entry(type="local", settings=Entry(env=Entry(env))))
        definition.comment(f"The variables of {ENV_FILE}: every app gets them, and they override its own.", "stacks")
    for comment in env_comments:
        definition.comment(comment, "stacks")
    return report.finish(definition)


def _read(path: Path, text: str, report: Report) -> tuple[dict[str, Line], list[str]]:
    """Return the processes by name, and comments for the lines below the last one."""
    lines: dict[str, Line] = {}
    above: list[str] = []
    for number, raw in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        match = LINE.fullmatch(raw.rstrip())
        if match and match["name"] in lines:
            message = f"cannot have this process twice: it is in line {lines[match['name']].number} too"
            report.problems.append(dotenv.problem(path, number, message, match["name"]))
        elif match:
            lines[match["name"]] = Line(number, match["name"], match["command"], tuple(above))
            above = []
        elif raw.strip() and not raw.lstrip().startswith("#"):
            message = "cannot be carried over: not `name: command line`"
            report.warnings.append(dotenv.problem(path, number, message))
            above.append(f"{path.name}, line {number}: {raw.strip()}\n  {message}")
    return lines, above


def _environment(path: Path, around: Surroundings, report: Report) -> tuple[dict[str, str], list[str]]:
    """Return the variables of the file beside the Procfile, and comments for settings that are left out."""
    comments = []
    if around.is_file(FOREMAN_OPTIONS):
        message = "cannot be carried over: foreman's options are not read; `formation` is `instances` here"
        report.warnings.append(dotenv.problem(path.with_name(FOREMAN_OPTIONS), 0, message))
        comments.append(f"{FOREMAN_OPTIONS}: {message}")
    text = around.read(ENV_FILE)
    if text is None:
        return {}, comments
    file = path.with_name(ENV_FILE)
    variables, passed_over = dotenv.foreman(file, text)
    env, unusable = dotenv.usable(file, variables)
    left = passed_over + unusable
    report.warnings += left
    comments += [f"{ENV_FILE}, line {item.line}: {item.path or 'this line'} {item.message}" for item in left]
    return env, comments


def _first_port(env: dict[str, str], comments: list[str], report: Report) -> int:
    """Return the port of the first process; PORT is removed from `env`, which would override each port."""
    text = env.pop("PORT", str(FIRST_PORT))
    if re.fullmatch(r"[0-9]{1,5}", text):
        return int(text)
    message = f"cannot be carried over: {text[:60]!r} is not a port; {FIRST_PORT} is used"
    report.warnings.append(dotenv.problem(report.source.path.with_name(ENV_FILE), 0, message, "PORT"))
    comments.append(f"{ENV_FILE}: PORT {message}")
    return FIRST_PORT


def _app(
    line: Line, port: int, env: dict[str, str], namer: naming.Namer, around: Surroundings, report: Report
) -> Entry:
    entry = fields.named(namer, line.name, report, (line.name,))
    entry.comments[:0] = [("name", text) for text in line.above]
    if not FOREMAN_NAME.fullmatch(line.name):
        message = "foreman ignores this line: a name holds letters, digits, '_' and '-' only"
        entry.comment(f"{line.name}: {message}", "name")
        report.warn((line.name,), message)
    try:
        fields.set_command(entry, command_line.command(line.command, own_path="PATH" in env))
    except ValueError as error:
        message = f"the shell will not run this line: {error}"
        report.warn((line.name,), message)
        entry.comment(f"{line.name}: {message}", "command")
        entry["command"] = ["/bin/sh", "-c", line.command]
    if folder := around.working_directory():
        entry["cwd"] = folder
    if line.name == RELEASE:
        message = "is not started with the stack: for Heroku it is not a process but a phase of each deployment"
        entry["enabled"] = False
        entry.comment(f"{RELEASE}: {message}", "enabled")
        report.warn((line.name,), message)
    _set_port(entry, line, port, report)
    return entry


def _set_port(entry: Entry, line: Line, port: int, report: Report) -> None:
    if 1 <= port <= LAST_PORT:
        entry["env"] = Entry(PORT=str(port))
        return
    message = f"PORT: cannot be carried over: {port} is not a port"
    entry.comment(message)
    report.warn((line.name,), message)
