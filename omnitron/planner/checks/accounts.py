"""As whom a process may run: whoever may write its definition must not become somebody else when root applies it."""

from __future__ import annotations

from pathlib import Path

from omnitron.definition.project import App
from omnitron.planner.facts import HostFacts, Identity
from omnitron.planner.resolve.process import PlannedProcess
from omnitron.planner.units import hardening
from omnitron.planner.units.service import DYNAMIC_USER

HARMLESS = frozenset({"KillMode", "KillSignal"})
"""Raw directives that anybody may use: they say how the process's own end is asked for, as imports do."""

Wrong = tuple[tuple[str, ...], str]
"""The key of the app that is wrong, and the message."""


def problem(process: PlannedProcess, app: App, facts: HostFacts) -> Wrong | None:
    """Return what is wrong with the account of a process of the system's manager."""
    if process.user is None:
        return (), (
            f"cannot choose the user of {process.stack}/{process.app}:{process.name}: the definition belongs to root; "
            "say which, such as user: www-data (or user: root)"
        )
    if facts.accounts is not None and not app.is_roots_own and (wrong := _beyond_the_owner(process, app, facts)):
        return wrong
    is_name = process.user != DYNAMIC_USER and not process.user.isdecimal()
    exists = not is_name or facts.accounts is None or process.user in facts.accounts
    return None if exists else (("user",), f"cannot run as {process.user!r}: this host has no such user")


def _beyond_the_owner(process: PlannedProcess, app: App, facts: HostFacts) -> Wrong | None:
    if {process.user, process.group} & {"root", "0"}:
        return ("user",), "cannot run as root: a file that defines it belongs to another user; chown it to root"
    if process.raw.unit or process.raw.service.keys() - HARMLESS:
        return ("systemd",), (
            "cannot use raw directives, which could run anything as root: a file that defines it belongs to "
            "another user; chown it to root"
        )
    if facts.identities is None:
        return None
    owner = facts.identity(app.owner)
    is_roots = app.source.owner == 0
    if process.user not in owner.users | {DYNAMIC_USER} and not (is_roots and process.user == app.entry.user):
        return ("user",), not_the_owner(f"as {process.user!r}", owner)
    group = process.group
    if group is not None and group not in owner.groups and not (is_roots and group == app.entry.group):
        return ("group",), not_the_owner(f"with the group {group!r}", owner)
    path = next((path for path in chosen_paths(process, app, facts) if not reaches(app.owner, path, facts)), None)
    return None if path is None else ((), unreachable(path, owner))


def chosen_paths(process: PlannedProcess, app: App, facts: HostFacts) -> list[Path]:
    """Return the paths that systemd binds by the word of somebody who is not root."""
    ours = (facts.package_folder, *facts.own_folders)
    roots: tuple[Path, ...] = ()
    if app.source.owner == 0:
        if app.system_source is None or app.system_source.owner == 0:
            return []
        roots = (process.project, app.folder)
    return [path for path in hardening.bound(process) if not any(map(path.is_relative_to, (*ours, *roots)))]


def reaches(uid: int, path: Path, facts: HostFacts) -> bool:
    """Return whether a user can get to `path`; where nobody can tell, yes."""
    return facts.reachable is None or (uid, path) in facts.reachable


def unreachable(path: Path, owner: Identity) -> str:
    """Return the message about a path that `owner`, who defines what uses it, cannot get to."""
    return (
        f"cannot use {path}: a file that defines it belongs to {owner.name}, who cannot get there; "
        "move it, or chown that file to root"
    )


def not_the_owner(how: str, owner: Identity) -> str:
    """Return the message about running as somebody, or `with the group …`, that `owner` is not."""
    return (
        f"cannot run {how}: a file that defines it belongs to {owner.name}, who is not; leave it out, or chown that "
        "file to root"
    )
