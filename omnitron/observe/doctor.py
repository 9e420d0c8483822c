"""Checks of the host and of what is installed on it: each says how it is, and what to do when it is not well."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from omnitron.errors import OmnitronError
from omnitron.observe.cgroups import hierarchy
from omnitron.systemd import local
from omnitron.version import OLDEST_SYSTEMD

State = Literal["ok", "warn", "fail"]

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where systemd looks for a program without a slash."""

CONTROLLERS = ("cpu", "memory", "pids", "io")
LIMITS = {
    "cpu": "cpuQuota, cpuWeight",
    "memory": "memoryMax, memoryHigh",
    "pids": "tasksMax",
    "io": "ioWeight",
}
"""What has no effect without a controller."""


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    check: str
    state: State
    message: str
    cure: str | None = None


@dataclass(frozen=True)
class Definition:
    """The definition that is found from here."""

    path: Path
    errors: tuple[str, ...]
    """What is wrong with it."""
    programs: tuple[tuple[str, str], ...]
    """Address and program of each process."""


@dataclass(frozen=True)
class InstalledUnit:
    """A file that omnitron has installed, and what it refers to."""

    path: Path
    state: Literal["same", "changed", "missing"]
    """Against what was written."""
    paths: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    user: str | None = None


@dataclass(frozen=True)
class Subject:
    """What is to be looked at, as far as it is not the host itself."""

    is_user: bool
    definition: Definition | None = None
    units: tuple[InstalledUnit, ...] = ()
    interrupted: bool = False
    """Whether a killed change waits to be finished."""
    errors: tuple[str, ...] = ()
    """Why something installed could not be read."""


def examine(subject: Subject) -> list[Finding]:
    """Run every check."""
    return [finding for check in CHECKS for finding in check(subject)]


def check_version(subject: Subject) -> Iterator[Finding]:
    """Look at the version of systemd."""
    try:
        version = local.version()
    except OmnitronError as error:
        yield Finding("systemd", "fail", error.brief, "apt install systemd")
        return
    if version < OLDEST_SYSTEMD:
        cure = "upgrade the host: Debian 12, Ubuntu 24.04, RHEL 9 and later have it"
        yield Finding("systemd", "fail", f"version {version} is too old: {OLDEST_SYSTEMD} is the oldest", cure)
        return
    yield Finding("systemd", "ok", f"version {version}")


def check_booted(subject: Subject) -> Iterator[Finding]:
    """Look whether systemd runs, or a sandbox could."""
    if local.is_booted():
        yield Finding("booted", "ok", "systemd runs this host")
        return
    yield Finding("booted", "fail", "systemd does not run here: nothing can be started", "omnitron sandbox up")
    if not shutil.which("systemd-nspawn"):
        yield Finding("sandbox", "fail", "systemd-nspawn is not installed", "apt install systemd-container")


def check_bus(subject: Subject) -> Iterator[Finding]:
    """Look whether the manager answers on its bus."""
    if not local.is_booted():
        return
    try:
        asyncio.run(_connect(subject.is_user))
    except OmnitronError as error:
        package = "dbus-user-session" if subject.is_user else "dbus"
        is_there = local.bus_path(subject.is_user).exists()
        yield Finding("bus", "fail", error.brief, error.hint if is_there else f"apt install {package}; {error.hint}")
        return
    yield Finding("bus", "ok", f"{'your manager' if subject.is_user else 'systemd'} answers")


async def _connect(is_user: bool) -> None:
    from omnitron.systemd.manager import Manager

    async with Manager(is_user=is_user):
        pass


def check_runtime_dir(subject: Subject) -> Iterator[Finding]:
    """Look at XDG_RUNTIME_DIR, where a user's manager and bus are."""
    if not subject.is_user:
        return
    cure = "log in through PAM (ssh, machinectl shell; not su), or export XDG_RUNTIME_DIR=/run/user/$(id -u)"
    said = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(said or f"/run/user/{os.getuid()}")
    if not folder.is_dir():
        yield Finding("runtime-dir", "fail", f"{folder} is not there", cure)
    elif folder.stat().st_uid != os.getuid():
        yield Finding("runtime-dir", "fail", f"XDG_RUNTIME_DIR is {folder}, which is another user's", cure)
    elif not said:
        yield Finding("runtime-dir", "warn", "XDG_RUNTIME_DIR is not set: systemctl --user will not work", cure)
    else:
        yield Finding("runtime-dir", "ok", str(folder))


def check_cgroups(subject: Subject, mount: Path = Path("/sys/fs/cgroup")) -> Iterator[Finding]:
    """Look at the cgroup hierarchy and its controllers."""
    cure = "boot with systemd.unified_cgroup_hierarchy=1"
    if not (mount / "cgroup.controllers").exists():
        kind = "hybrid" if (mount / "unified").is_dir() else "version 1"
        message = f"the hierarchy is {kind}: memoryHigh and ioWeight have no effect, memory is an estimate"
        yield Finding("cgroups", "warn", message, cure)
        return
    folder = hierarchy(True) if subject.is_user and mount == Path("/sys/fs/cgroup") else mount
    present = _read(folder / "cgroup.controllers").split()
    missing = [name for name in CONTROLLERS if name not in present]
    lost = "; ".join(f"{name} ({LIMITS[name]})" for name in missing)
    if not missing or (subject.is_user and missing == ["io"]):
        # A user's manager is not given io unless somebody says so.
        note = f"; without {lost}" if missing else ""
        yield Finding("cgroups", "ok", f"version 2 with {', '.join(n for n in CONTROLLERS if n in present)}{note}")
        return
    if subject.is_user and _read(mount / "cgroup.controllers").split():
        cure = "systemctl edit user@.service: [Service] Delegate=cpu cpuset io memory pids"
    elif not present:
        cure = "in a container, its host must pass the controllers on; elsewhere " + cure
    yield Finding("cgroups", "warn", f"these limits have no effect, for want of a controller: {lost}", cure)


def check_permissions(subject: Subject) -> Iterator[Finding]:
    """Look at what the caller may do."""
    if not subject.is_user:
        if os.geteuid() == 0:
            yield Finding("permissions", "ok", "you are root")
        else:
            message = "you are not root: units can be looked at, not written"
            yield Finding("permissions", "warn", message, "use sudo, or --user for units of your own")
        return
    name = pwd.getpwuid(os.getuid()).pw_name
    if Path("/var/lib/systemd/linger", name).exists():
        yield Finding("permissions", "ok", f"the manager of {name} lasts beyond a login")
    else:
        message = f"the units of {name} stop when the last session ends, and do not start at boot"
        yield Finding("permissions", "warn", message, f"loginctl enable-linger {name}")


def check_run(subject: Subject) -> Iterator[Finding]:
    """Look whether `omnitron run` has what it needs."""
    from omnitron.systemd.transient import require_pystemd

    try:
        require_pystemd()
    except OmnitronError as error:
        yield Finding("run", "warn", "pystemd is not installed: `omnitron run` will not work", error.hint)
    else:
        yield Finding("run", "ok", "pystemd is installed")


def check_definition(subject: Subject) -> Iterator[Finding]:
    """Look at the definition, and whether its programs are here."""
    definition = subject.definition
    if definition is None:
        return
    if definition.errors:
        more = f" (and {len(definition.errors) - 1} more)" if len(definition.errors) > 1 else ""
        yield Finding("definition", "fail", definition.errors[0] + more, "omnitron validate")
        return
    yield Finding("definition", "ok", f"{definition.path} is valid")
    for address, program in definition.programs:
        if not _is_program(program):
            cure = "apt install nodejs" if program == "node" else "install it, or correct the definition"
            yield Finding("programs", "fail", f"{address} runs {program}, which is not here", cure)


def check_installed(subject: Subject) -> Iterator[Finding]:
    """Look whether what is installed can be read and is complete."""
    for error in subject.errors:
        yield Finding("installed", "fail", error, "omnitron generate")
    if subject.interrupted:
        message = "a change was interrupted: files may be half old, half new"
        yield Finding("installed", "warn", message, "omnitron generate finishes it")
    if subject.units and not subject.errors and not subject.interrupted:
        yield Finding("installed", "ok", f"{len(subject.units)} files")


def check_edits(subject: Subject) -> Iterator[Finding]:
    """Look for files that somebody changed or removed."""
    for unit in subject.units:
        if unit.state == "missing":
            yield Finding("edits", "warn", f"{unit.path} was removed", "omnitron generate writes it again")
        elif unit.state == "changed":
            cure = f"keep the change with `systemctl edit {unit.path.name}`; the next generate undoes it here"
            yield Finding("edits", "warn", f"{unit.path} was changed by hand", cure)


def check_paths(subject: Subject) -> Iterator[Finding]:
    """Look for what installed units name and the host no longer has."""
    needed: dict[str, list[str]] = {}
    for unit in subject.units:
        missing = [path for path in unit.paths if not _exists(path)]
        missing += [f"the program {name}" for name in unit.programs if not _is_program(name)]
        missing += [f"the user {unit.user}"] if unit.user and not _is_user(unit.user) else []
        for what in missing:
            needed.setdefault(what, []).append(unit.path.name)
    for what, units in needed.items():
        more = f" and {len(units) - 1} more" if len(units) > 1 else ""
        cure = "put it back, or correct the definition, and omnitron generate"
        yield Finding("paths", "fail", f"{units[0]}{more} cannot run: {what} is not there", cure)
    if subject.units and not needed:
        yield Finding("paths", "ok", "all that installed units name is there")


CHECKS: tuple[Callable[[Subject], Iterator[Finding]], ...] = (
    check_version,
    check_booted,
    check_bus,
    check_runtime_dir,
    check_cgroups,
    check_permissions,
    check_run,
    check_definition,
    check_installed,
    check_edits,
    check_paths,
)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _exists(path: str) -> bool:
    """Whether a path is there; one that we may not look at is given the benefit of the doubt."""
    try:
        Path(path).stat()
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def _is_program(name: str) -> bool:
    return _exists(name) if "/" in name else shutil.which(name, path=SEARCH_PATH) is not None


def _is_user(name: str) -> bool:
    try:
        pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    except KeyError:
        return name.isdecimal()
    return True
