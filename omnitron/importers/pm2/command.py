"""The command of a pm2 app: its interpreter, its script and their arguments, as pm2 combines them."""

from __future__ import annotations

import posixpath
import re

from omnitron.definition.fields import parse_argv
from omnitron.importers import command_line, fields
from omnitron.importers.document import Entry
from omnitron.importers.host_files import Surroundings
from omnitron.importers.report import Section

INTERPRETERS = {
    ".cjs": "node",
    ".coffee": "coffee",
    ".js": "node",
    ".ls": "lsc",
    ".mjs": "node",
    ".php": "php",
    ".pl": "perl",
    ".py": "python3",
    ".rb": "ruby",
    ".sh": "bash",
    ".ts": "bun",
    ".tsx": "bun",
}
ARGUMENT = re.compile(r"""(?:[^\s"'=]+=)?(?:"[^"]*"|'[^']*')|\S+""")
SHARES_PORTS = re.compile(r"(?:.*/)?(?:node|bun)")
"""Interpreters that pm2 runs in cluster mode if `instances` is set."""


def arguments(section: Section, key: str) -> list[str]:
    """Return a list of arguments; pm2 splits text at white space outside quotes."""
    if not isinstance(section.data.get(key), str):
        return section.texts(key)
    words = ARGUMENT.findall(section.text(key) or "")
    return [word[1:-1] if word[0] in "\"'" and word[-1] == word[0] and len(word) > 1 else word for word in words]


def give(entry: Entry, section: Section, around: Surroundings) -> str:
    """Set the command of an app, and return its interpreter; empty for a program that runs without one."""
    script = section.text("script")
    if not script:
        section.report.wrong(section.at, "cannot run: it has no script")
        return ""
    if " " in script:
        _shell_line(entry, section, script)
        return ""
    base = section.text("cwd") or "."
    interpreter = _interpreter(entry, section, script, posixpath.join(base, script), around)
    before, after = arguments(section, "node_args"), arguments(section, "args")
    if interpreter:
        argv = [interpreter, *before, script, *after]
    else:
        exists = around.is_file(posixpath.join(base, script))
        argv = [f"./{script}" if exists and "/" not in script else script, *after]
        if before:
            section.left(entry, "node_args", "no interpreter is started", "command")
    try:
        entry["command"] = parse_argv(argv)
    except ValueError as error:
        section.wrong("exec_interpreter" if interpreter else "script", f"cannot use this value: {error}")
    return interpreter


def _shell_line(entry: Entry, section: Section, script: str) -> None:
    try:
        fields.set_command(entry, command_line.command(script, "/bin/bash"))
    except ValueError as error:
        section.wrong("script", f"cannot be a line for a shell: {error}")
    for key in ("args", "node_args", "exec_interpreter"):
        if section.data.get(key):
            section.left(entry, key, "the script is a line for a shell", "command")


def _interpreter(entry: Entry, section: Section, script: str, path: str, around: Surroundings) -> str:
    interpreter = section.text("exec_interpreter")
    if interpreter == "none":
        return ""
    if interpreter and interpreter.startswith("node@"):
        message = f"version {interpreter[5:]} of node cannot be chosen: give its full path in the command"
        section.changed(entry, "exec_interpreter", message, "command")
        return "node"
    if interpreter:
        return interpreter
    default = INTERPRETERS.get(posixpath.splitext(script)[1])
    if default:
        return default
    return "node" if around.is_file(path) and not around.is_binary(path) else ""
