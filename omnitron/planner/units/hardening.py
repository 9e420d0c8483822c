"""The sandbox of a process: the directives of each level, for each scope and version.

`strict` is what a network service can live with, with a JIT or without. What it must write is declared
(`paths`), and what it must read under a hidden folder (the project, its interpreter) is bound there.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from pathlib import Path

from omnitron.definition.paths import absolute
from omnitron.planner.facts import HostFacts
from omnitron.planner.resolve.host_spec import runtime_folder
from omnitron.planner.resolve.process import PlannedProcess
from omnitron.planner.units.values import Bind, Value, Word

ROOT = ("root", "0")
HOMES = (Path("/home"), Path("/root"), Path("/run/user"))
TEMPORARY = (Path("/tmp"), Path("/var/tmp"))
FIRST_FREE_PORT = 1024

Directives = dict[str, Value]

STANDARD: Directives = {
    "no_new_privileges": True,
    "private_tmp": True,
    "protect_system": "full",
    "protect_kernel_tunables": True,
    "protect_kernel_modules": True,
    "protect_control_groups": True,
    "restrict_suid_sgid": True,
    "restrict_realtime": True,
    "lock_personality": True,
}

STRICT: Directives = {
    **STANDARD,
    "protect_system": "strict",
    "protect_home": "tmpfs",
    "private_devices": True,
    "protect_kernel_logs": True,
    "protect_clock": True,
    "protect_hostname": True,
    "protect_proc": "invisible",
    "restrict_namespaces": True,
    "restrict_address_families": "AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "system_call_filter": "@system-service",
    # An errno and not a signal: runtimes try a call and do without it.
    "system_call_error_number": "EPERM",
    "system_call_architectures": "native",
    "capability_bounding_set": "",
    "remove_ipc": True,
    "umask": "0027",
}

ONLY_AGAINST_ROOT = ("protect_kernel_tunables", "protect_kernel_modules", "protect_hostname")
"""Directives for root: only root can change these, or a capability is needed; a strict process of another user has
none and gains none. Each is a mount or many, and together they are a third of what `strict` adds to a start."""

REFUSED_BY_USER_MANAGERS = (
    "capability_bounding_set",
    "private_devices",
    "protect_kernel_logs",
    "protect_clock",
    "protect_kernel_modules",
    "remove_ipc",
)


def directives(process: PlannedProcess, facts: HostFacts) -> Directives:
    """Return the sandboxing directives of a process, by their key in the template."""
    if process.hardening == "off":
        return {"read_write_paths": None}
    chosen = dict(STRICT if process.hardening == "strict" else STANDARD)
    if facts.is_user:
        for key in REFUSED_BY_USER_MANAGERS:
            chosen.pop(key, None)
        # Without a user namespace, 252 silently ignores the file-system directives of a user's services.
        chosen["private_users"] = True
    elif _needs_low_port(process):
        chosen["ambient_capabilities"] = "CAP_NET_BIND_SERVICE"
        if "capability_bounding_set" in chosen:
            chosen["capability_bounding_set"] = "CAP_NET_BIND_SERVICE"
    if process.hardening == "strict" and not facts.is_user and process.user not in ROOT:
        for key in ONLY_AGAINST_ROOT:
            del chosen[key]
    if process.hardening == "strict" and process.hosted:
        # Python has no JIT; node and the JVM could not start with it.
        chosen["memory_deny_write_execute"] = True
    hidden = _hidden(process)
    writable = _writable(process)
    chosen["bind_read_only_paths"] = _bound(_reads(process, facts), facts.helpers.parent, hidden, writable)
    binds: list[Value] = [Bind(str(p)) for p in writable if _below(p, hidden)]
    if process.spec and facts.is_user and process.hardening == "strict":
        # A user's runtime directory is among what is hidden: the manager's ear, and the sockets of the stack.
        binds += ["%t/systemd/notify", f"%t/{posixpath.dirname(runtime_folder(*process.address))}"]
    chosen["bind_paths"] = tuple(binds) or None
    chosen["read_write_paths"] = tuple(Word(str(p)) for p in writable if not _below(p, hidden)) or None
    return chosen


def bound(process: PlannedProcess) -> list[Path]:
    """Return the paths that the definition names and that systemd, as root, may bind for the process."""
    if process.hardening == "off":
        return []
    return [path for path in dict.fromkeys((*_named(process), *_writable(process))) if _below(path, _hidden(process))]


def _hidden(process: PlannedProcess) -> tuple[Path, ...]:
    return TEMPORARY + (HOMES if process.hardening == "strict" else ())


def _writable(process: PlannedProcess) -> list[Path]:
    return [absolute(process.project, path) for path in process.paths.write]


def _needs_low_port(process: PlannedProcess) -> bool:
    return any(listener.port < FIRST_FREE_PORT and not listener.activated for listener in process.listeners)


def _named(process: PlannedProcess) -> list[Path]:
    """Return what it reads, by the definition's word."""
    paths = [process.project, process.folder, *process.program.reads]
    if process.hosted and process.hosted.jwt_key and not process.hosted.manager_reads_key:
        paths.append(process.hosted.jwt_key)
    return paths


def _reads(process: PlannedProcess, facts: HostFacts) -> list[Path]:
    paths = _named(process)
    if process.probe:
        paths.append(facts.helpers.parent)
    if process.native or process.secrets:
        paths.append(facts.package_folder / "omnitron")
    if process.spec:
        paths.append(facts.specs)
    return paths


def _bound(
    paths: Iterable[Path], helpers: Path, hidden: tuple[Path, ...], writable: list[Path]
) -> tuple[Bind, ...] | None:
    """Return those of `paths` that are hidden, without those that lie in another or are writable anyway."""
    visible = sorted({path for path in paths if _below(path, hidden)} - set(writable))
    outermost = [p for p in visible if not any(other in p.parents for other in visible)]
    # Apps do without our helpers when those are gone.
    return tuple(Bind(str(path), optional=path == helpers) for path in outermost) or None


def _below(path: Path, folders: tuple[Path, ...]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)
