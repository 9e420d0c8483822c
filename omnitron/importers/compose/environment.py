"""The variables of a compose service: those of its files, then its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from omnitron.definition.fields import parse_environment_name, parse_environment_value
from omnitron.definition.source import KeyPath
from omnitron.importers import dotenv
from omnitron.importers.compose.services import Project
from omnitron.importers.document import Entry
from omnitron.importers.report import Section, kind, number_text

NAMES_A_HOST = re.compile(r"host|server|addr|url|uri|endpoint|broker|node|peer|upstream", re.IGNORECASE)


def environment(section: Section, project: Project) -> Entry:
    """Return the variables, with a comment at each that will not work unchanged."""
    env = Entry()
    for item in section.mixed("env_file"):
        if isinstance(item, str):
            item = Section(section.report, section.path("env_file"), {"path": item}, section.root)
        _read_file(env, item, project)
    for path, name, value in _own(section):
        _set(env, section, path, name, value, project)
    _comment_hosts(env, section, project)
    return env


def _read_file(env: Entry, item: Section, project: Project) -> None:
    name, required, form = item.text("path"), item.flag("required"), item.text("format")
    if not name:
        item.report.wrong(item.at, "cannot use this value: it must be the path of a file")
        return
    text = project.around.read(name)
    if text is None:
        why = "cannot be carried over: there is no such file"
        env.comment(f"env_file {name}: {why}")
        if required is not False:
            item.report.warn(item.at, f"{name}: {why}")
        return
    file = item.report.source.path.parent / name
    variables = _raw(text) if form == "raw" else dotenv.compose(file, text, project.environ)
    values, warnings = dotenv.usable(file, [variable for variable in variables if variable.value is not None])
    env.update(values)
    item.report.warnings += warnings
    for warning in warnings:
        env.comment(f"{name}, line {warning.line}: {warning.path}: {warning.message}")
    message = f"the values of {name} are copied: later changes of that file have no effect"
    env.comment(message, next(iter(values), None))
    item.report.warn(item.at, message)


def _raw(text: str) -> list[dotenv.Variable]:
    lines = enumerate(text.replace("\r\n", "\n").split("\n"), 1)
    pairs = ((number, line.partition("=")) for number, line in lines if "=" in line and not line.startswith("#"))
    return [dotenv.Variable(number, name, value) for number, (name, _, value) in pairs]


def _own(section: Section) -> Iterator[tuple[KeyPath, str, Any]]:
    """Yield the place, name and value of each variable; the value is None for a name without a value."""
    value = section.value("environment")
    if isinstance(value, dict):
        for name, item in value.items():
            yield section.path("environment", name), name, item
    elif isinstance(value, list):
        for index, text in enumerate(section.texts("environment")):
            name, sign, item = text.partition("=")
            yield section.path("environment", index), name, item if sign else None
    elif value is not None:
        section.wrong("environment", f"cannot be {kind(value)}: it must be a mapping or a list")


def _set(env: Entry, section: Section, path: KeyPath, name: str, value: Any, project: Project) -> None:
    report = section.report
    if value is None and name in project.environ:
        value = project.environ[name]
    if isinstance(value, bool):
        value = "true" if value else "false"
    elif isinstance(value, int | float):
        value = number_text(value)
    if isinstance(value, dict | list):
        report.wrong(path, f"cannot be {kind(value)}: it must be text")
        return
    try:
        if value is None:
            raise ValueError("it is taken from the environment of compose, where it is not set")
        env[parse_environment_name(name)] = parse_environment_value(value)
    except ValueError as error:
        env.pop(name, None)
        env.comment(f"{name}: cannot be carried over: {error}")
        report.warn(path, f"cannot be carried over: {error}")


def _comment_hosts(env: Entry, section: Section, project: Project) -> None:
    """Comment on values that contain another service as a host name: only compose has such host names."""
    if not env or not project.services:
        return
    hosts = "|".join(re.escape(name) for name in sorted(project.services, key=len, reverse=True))
    inside = re.compile(rf"(?:^|@|://|[,\s])({hosts})(?=:\d|/|,|$)")
    for name, value in env.items():
        match = inside.search(value)
        if match and (match[0] != value or NAMES_A_HOST.search(name)):
            message = f"names the host {match[1]!r}, which only compose knows: here it is 127.0.0.1, or another host"
            env.comment(message, name)
            section.report.warn(section.path("environment", name), f"cannot be carried over: {message}")
