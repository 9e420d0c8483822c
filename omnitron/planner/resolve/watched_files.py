"""The files that restart an app when they change."""

from __future__ import annotations

from omnitron.definition.ecosystem import Stack, Watch
from omnitron.definition.paths import absolute
from omnitron.definition.project import App, Ecosystem
from omnitron.planner.facts import HostFacts
from omnitron.policy.model import WatchPolicy

DEV = "dev"
"""The stack that is watched unless it says otherwise."""


def watched(ecosystem: Ecosystem, name: str, app: App, facts: HostFacts) -> WatchPolicy | None:
    """Return the folders to watch, patterns to pass over, and how long to wait for more changes; None for none.

    `owner` is the user, not root, whose folders alone count: root's watcher would else tell them when others' change.

    The definition itself is not among them: `omnitron up` is what applies a change of it.
    """
    stack: Stack = ecosystem.config.stacks[name]
    declared = app.entry.watch
    if declared is False or not (name == DEV if stack.watch is None else stack.watch):
        return None
    watch = declared if isinstance(declared, Watch) else Watch(directory=declared or ".")
    folders = [absolute(app.folder, folder) for folder in (watch.directory, *watch.include)]
    files = [ecosystem.path, *([app.system_source.path] if app.system_source else [])]
    return WatchPolicy(
        folders=tuple(str(folder) for folder in dict.fromkeys(folders)),
        ignore=tuple(watch.ignore),
        excepted=tuple(str(file) for file in files),
        debounce=watch.debounce,
        owner=app.owner or None if facts.accounts is not None and not facts.is_user else None,
    )
