"""Turns an app of pm2's into an app."""

from __future__ import annotations

import json
import re
from typing import Any

from omnitron import names
from omnitron.definition.fields import parse_environment_name, parse_environment_value
from omnitron.importers import fields
from omnitron.importers.document import Entry
from omnitron.importers.host_files import Surroundings, account, group
from omnitron.importers.pm2 import command, restarts, unsupported
from omnitron.importers.quantities import size, span
from omnitron.importers.report import Section, number_text

MAX_INSTANCES = 1000
MEMORY = re.compile(r"\d{1,15}[GMK]?")
CLUSTER = (
    "in cluster mode node shares one port among its processes; here each instance is a process of its own, "
    "and they can share a socket that systemd opens: see `transports.http.socketActivation`"
)
COUNTED = "an instance has its number in OMNITRON_INSTANCE, from 1, instead of NODE_APP_INSTANCE, from 0"


def convert(entry: Entry, section: Section, around: Surroundings) -> None:
    """Fill `entry` from the app."""
    interpreter = command.give(entry, section, around)
    _folder(entry, section, around)
    _accounts(entry, section)
    _instances(entry, section, around, interpreter)
    fields.put(entry, "env", _environment(section, interpreter))
    _memory(entry, section)
    restarts.give(entry, section)
    restarts.give_stop(entry, section)
    _watch(entry, section)
    if section.flag("autostart") is False:
        entry["enabled"] = False
    for key in list(section.rest()):
        if key in unsupported.NOT_NEEDED:
            section.value(key)
            entry.comment(f"{key}: not needed: {unsupported.NOT_NEEDED[key]}")
        else:
            why = unsupported.PER_STACK if key.startswith("env_") else unsupported.UNKNOWN
            section.left(entry, key, unsupported.LEFT.get(key, why))


def _folder(entry: Entry, section: Section, around: Surroundings) -> None:
    cwd = section.text("cwd")
    folder = around.working_directory(cwd or ".")
    if folder is None:
        section.left(entry, "cwd", "there is no such folder on this host", "command")
        folder = around.working_directory()
    if folder:
        entry["cwd"] = folder


def _accounts(entry: Entry, section: Section) -> None:
    for key, field, lookup in (("uid", "user", account), ("gid", "group", group)):
        text = section.text(key)
        name = lookup(text) if text else None
        if name and names.why_not_a_name(name):
            section.left(entry, key, f"{name!r} is not the name of a {field}")
        elif name:
            entry[field] = name


def _instances(entry: Entry, section: Section, around: Surroundings, interpreter: str) -> None:
    value = section.data.get("instances")
    if value == "max":
        section.value("instances")
        count: int | None = 0
    else:
        count = section.whole("instances")
    mode = section.text("exec_mode")
    if count is None:
        return
    if count <= 0:
        section.changed(entry, "instances", f"{value} means {max(around.cpus + count, 1)} on this host", "instances")
        count = max(around.cpus + count, 1)
    if count > MAX_INSTANCES:
        section.left(entry, "instances", f"an app has at most {MAX_INSTANCES} instances")
    elif count > 1:
        entry["instances"] = count
        shares = mode.startswith("cluster") if mode else command.SHARES_PORTS.fullmatch(interpreter)
        section.changed(entry, "instances", COUNTED, "instances")
        if shares:
            section.changed(entry, "exec_mode", CLUSTER, "instances")


def _environment(section: Section, interpreter: str) -> Entry:
    env = Entry()
    if "python" in interpreter:
        env["PYTHONUNBUFFERED"] = "1"
    inner = section.section("env")
    port = section.whole("port")
    for name, value in inner.data.items() if inner else ():
        text = _text(value)
        try:
            if text is None:
                raise ValueError("it has no value")
            env[parse_environment_name(name)] = parse_environment_value(text)
        except ValueError as error:
            env.comment(f"{name}: cannot be carried over: {error}")
            section.report.warn(section.path("env", name), f"cannot be carried over: {error}")
    if port is not None:
        env["PORT"] = str(port)
    return env


def _text(value: Any) -> str | None:
    """Return a value as node passes it to a program."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return number_text(value)
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False) if isinstance(value, dict | list) else value


def _memory(entry: Entry, section: Section) -> None:
    text = section.text("max_memory_restart")
    if text is None:
        return
    if not MEMORY.fullmatch(text):
        section.wrong("max_memory_restart", f"cannot be {text[:60]!r}: it must be a size such as 300M")
    elif memory := size(text):
        entry["limits"] = Entry(memoryMax=memory)
        message = "pm2 stops and starts it again; here the kernel kills it, and it restarts as after a crash"
        section.changed(entry, "max_memory_restart", message, "limits")


def _watch(entry: Entry, section: Section) -> None:
    value = section.value("watch")
    watched = ["."] if value is True else section.texts("watch") if value else []
    ignored, delay = section.texts("ignore_watch"), restarts.milliseconds(section, "watch_delay")
    if not watched:
        return
    watch = Entry(directory=watched[0])
    if watched[1:]:
        watch["include"] = watched[1:]
    if ignored:
        watch["ignore"] = ignored
    if delay is not None:
        watch["debounce"] = span(delay)
    entry["watch"] = watch
