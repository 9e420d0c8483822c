"""Imports an ecosystem file of pm2: JSON, YAML, or the export of a JavaScript file."""

from __future__ import annotations

import posixpath
from typing import Any

from omnitron.definition.source import KeyPath, Source
from omnitron.importers import fields, naming
from omnitron.importers.document import Entry, Imported
from omnitron.importers.host_files import Surroundings
from omnitron.importers.naming import Namer
from omnitron.importers.pm2 import app, unsupported
from omnitron.importers.report import Report, Section, kind

ALIASES = {
    "script": ("exec", "cmd", "command"),
    "exec_interpreter": ("interpreter",),
    "node_args": ("interpreter_args", "interpreterArgs"),
    "out_file": ("out", "output", "out_log"),
    "error_file": ("error", "err", "err_file", "err_log"),
    "log_file": ("log",),
    "pid_file": ("pid",),
    "cron_restart": ("cron",),
    "merge_logs": ("combine_logs",),
    "uid": ("user",),
}
"""Other names that pm2 accepts for a key."""
LISTS = ("apps", "pm2")
"""Keys with the list of apps; the second one is that of older files."""


def convert(source: Source, around: Surroundings, project: str | None = None) -> Imported:
    """Return the definition of an ecosystem file; raises DefinitionError."""
    report = Report(source)
    top, at, items = _apps(source.data, report)
    if not items and not report.problems:
        report.wrong((), "cannot import: there are no apps in it")
    namer = fields.app_namer()
    apps = [
        _app(Section(report, (*at, *index), _canonical(item)), namer, around)
        for index, item in items
        if _is_app(item, (*at, *index), report)
    ]
    definition = fields.frame("pm2", report, naming.project(project, around.folder), apps)
    definition.comment(fields.SYSTEM_PATH_NOTE, "apps")
    for key in top.rest():
        top.left(definition, key, unsupported.DEPLOY if key == "deploy" else unsupported.UNKNOWN, "apps")
    return report.finish(definition)


def _apps(data: Any, report: Report) -> tuple[Section, KeyPath, list[tuple[KeyPath, Any]]]:
    """Return the file's mapping, the key path of its apps, and each app with its place there."""
    nothing = Section(report, (), {})
    if isinstance(data, list):
        return nothing, (), [((index,), item) for index, item in enumerate(data)]
    if not isinstance(data, dict):
        report.wrong((), "cannot import: it is neither a mapping with the key 'apps' nor a list of apps")
        return nothing, (), []
    top = Section(report, (), data)
    key = next((key for key in LISTS if key in data), None)
    if key is None:
        is_single_app = any(name in data for name in ("script", *ALIASES["script"]))
        return nothing, (), [((), data)] if is_single_app else []
    value = top.value(key)
    if isinstance(value, dict):
        return top, (key,), [((), value)]
    return top, (key,), [((index,), item) for index, item in enumerate(top.items(key))]


def _is_app(item: Any, at: KeyPath, report: Report) -> bool:
    if not isinstance(item, dict):
        report.wrong(at, f"cannot be {kind(item)}: it must be a mapping")
    return isinstance(item, dict)


def _canonical(item: dict[str, Any]) -> dict[str, Any]:
    """Return an app with aliases of keys replaced by the first name of each key."""
    canonical = {key: value for key, value in item.items() if value is not None}
    for key, others in ALIASES.items():
        for other in others:
            if key not in canonical and other in canonical:
                canonical[key] = canonical.pop(other)
    return canonical


def _app(section: Section, namer: Namer, around: Surroundings) -> Entry:
    name = section.text("name") or posixpath.splitext(posixpath.basename(section.text("script") or "app"))[0]
    entry = fields.named(namer, name, section.report, section.at)
    app.convert(entry, section, around)
    return entry
