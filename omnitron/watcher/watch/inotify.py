"""Notifications about changed files of apps: inotify on whole trees, including new folders."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from inotify_simple import INotify, flags

from omnitron.watcher.watch.patterns import Patterns

if TYPE_CHECKING:
    from omnitron.policy.model import WatchPolicy

log = logging.getLogger(__name__)

MASK = (
    flags.CLOSE_WRITE
    | flags.CREATE
    | flags.DELETE
    | flags.MOVED_FROM
    | flags.MOVED_TO
    | flags.MOVE_SELF
    | flags.ONLYDIR
)
LIMITS = {
    errno.ENOSPC: "too many folders; raise the limit: sysctl fs.inotify.max_user_watches=524288",
    errno.EMFILE: "too many watchers; raise the limit: sysctl fs.inotify.max_user_instances=512",
}

AGAIN_S = 2.0
"""Interval of looks for a folder of a definition that does not exist."""
MAX_PATHS = 100
"""Paths of a burst that are stored for the message; more do not matter."""

Key = tuple[str, str]
"""Stem of a stack, and name of an app."""
Changed = Callable[[Key, list[str]], None]
"""Takes the app, and the paths that changed since its last call."""


@dataclass
class Waiting:
    """Changes of one app that wait for further ones: until the timer ends, at most until `until` (time of the loop)."""

    timer: asyncio.TimerHandle
    until: float
    paths: dict[str, None] = field(default_factory=dict)


class Files:
    """Watches the trees of all apps with one descriptor. Create it inside a running loop."""

    def __init__(self, changed: Changed) -> None:
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._inotify = INotify(nonblocking=True)
        self._loop.add_reader(self._inotify.fileno(), self._read)
        self._apps: dict[Key, tuple[WatchPolicy, Patterns]] = {}
        self._folders: dict[int, tuple[str, set[Key]]] = {}
        self._waiting: dict[Key, Waiting] = {}
        self._logged: set[str] = set()
        self._missing: set[tuple[str, Key]] = set()
        self._logged_missing: set[tuple[str, Key]] = set()
        """Root folders that are missing, and those of them that were logged."""
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False

    def close(self) -> None:
        """Stop watching."""
        self._loop.remove_reader(self._inotify.fileno())
        self._inotify.close()
        self._is_closed = True
        if self._timer:
            self._timer.cancel()
        for waiting in self._waiting.values():
            waiting.timer.cancel()

    def watch(self, apps: Mapping[Key, WatchPolicy]) -> None:
        """Watch the trees of these apps."""
        for key, policy in apps.items():
            try:
                patterns = Patterns(policy)
            except (ValueError, re.error) as error:
                log.error("cannot watch the files of %s of %s: watch.ignore: %s", key[1], key[0], error)
                continue
            self._apps[key] = policy, patterns
            for folder in policy.folders:
                if not Path(folder).is_dir():
                    self._missing.add((folder, key))
                self._add(folder, {key})
        # This may run in another thread; the rest belongs to the loop.
        with contextlib.suppress(RuntimeError):  # the loop may have ended
            self._loop.call_soon_threadsafe(self._look_later)

    def _lost(self, folder: str, keys: set[Key]) -> bool:
        """Look for a removed folder again if a definition names it; return whether one does."""
        roots = {(folder, key) for key in keys if key in self._apps and folder in self._apps[key][0].folders}
        self._missing |= roots
        return bool(roots)

    def _look_later(self) -> None:
        if not self._is_closed:
            self._timer = self._loop.call_later(AGAIN_S, self._look_for_roots)

    def _look_for_roots(self) -> None:
        """Watch root folders that were missing or removed, for example while a branch was switched."""
        watched = {(path, key) for path, keys in self._folders.values() for key in keys}
        for root in ((folder, key) for key, (policy, _) in self._apps.items() for folder in policy.folders):
            folder, key = root
            if root in watched:
                self._missing.discard(root)
                self._logged_missing.discard(root)
            elif not Path(folder).is_dir():
                if root not in self._logged_missing:
                    self._logged_missing.add(root)
                    log.warning("cannot find %s: %s is watched again as soon as it exists", folder, key[1])
            elif root in self._missing:
                self._missing.discard(root)
                log.info("%s exists again: %s is watched", folder, key[1])
                for file, allowed in self._add(folder, {key}):
                    self._note(file, allowed)
        self._look_later()

    def _add(self, folder: str, keys: set[Key]) -> list[tuple[str, set[Key]]]:
        """Watch a tree; return the files in it, each with the apps that are allowed to see it."""
        files: list[tuple[str, set[Key]]] = []
        left = [(folder, keys)]
        while left:
            path, wanting = left.pop()
            try:
                allowed, entries = self._add_folder(path, wanting)
            except ValueError:
                return files  # closed by another thread
            except OSError as error:
                self._log_failure(path, error)
                if error.errno in LIMITS:
                    return files
                continue
            for name, is_folder in entries:
                if not is_folder:
                    files.append((f"{path}/{name}", allowed))
                elif inside := self._wanting(f"{path}/{name}", allowed, is_folder=True):
                    left.append((f"{path}/{name}", inside))
        return files

    def _add_folder(self, path: str, keys: set[Key]) -> tuple[set[Key], list[tuple[str, bool]]]:
        """Watch one folder for those of `keys` that are allowed to see it; return them and the entries of the folder.

        Entries are names, and whether each is a folder; links are not followed. OSError if no app is allowed.
        """
        opened = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            owner = os.fstat(opened).st_uid
            allowed = {key for key in keys if key in self._apps and self._apps[key][0].owner in (None, owner)}
            if not allowed:
                raise PermissionError(errno.EPERM, "it does not belong to the owner of the definition")
            # The opened folder itself, whose owner was checked: the path may name another one by now.
            pinned = f"/proc/self/fd/{opened}"
            number = self._inotify.add_watch(pinned, MASK)
            self._folders[number] = path, self._folders.get(number, (path, set[Key]()))[1] | allowed
            with os.scandir(pinned) as entries:
                return allowed, [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        finally:
            os.close(opened)

    def _wanting(self, path: str, keys: set[Key], *, is_folder: bool) -> set[Key]:
        return {key for key in keys if key in self._apps and self._apps[key][1].wants(path, is_folder=is_folder)}

    def _read(self) -> None:
        for event in self._inotify.read(timeout=0):
            if event.mask & flags.Q_OVERFLOW:
                self._restart_all()
            elif event.mask & flags.IGNORED:
                self._lost(*self._folders.pop(event.wd, ("", set[Key]())))
            elif event.wd in self._folders:
                folder, keys = self._folders[event.wd]
                if event.mask & flags.MOVE_SELF:
                    if self._lost(folder, keys):
                        self._leave(folder)
                    continue
                self._take(f"{folder}/{event.name}", event.mask, keys)

    def _take(self, path: str, mask: int, keys: set[Key]) -> None:
        if mask & flags.ISDIR:
            if mask & flags.MOVED_FROM:
                self._leave(path)
                for key in self._wanting(path, keys, is_folder=True):
                    self._wait(key, path)
            if mask & (flags.CREATE | flags.MOVED_TO) and (wanting := self._wanting(path, keys, is_folder=True)):
                # Files that were written before the watch existed cause no event.
                for file, allowed in self._add(path, wanting):
                    self._note(file, allowed)
            return
        if not mask & flags.CREATE:  # the file is still empty; CLOSE_WRITE follows
            self._note(path, keys)

    def _leave(self, path: str) -> None:
        """Stop watching a tree that was moved away; its new path counts as a new tree."""
        gone = [n for n, (folder, _) in [*self._folders.items()] if folder == path or folder.startswith(f"{path}/")]
        for number in gone:
            del self._folders[number]
            with contextlib.suppress(OSError):
                self._inotify.rm_watch(number)

    def _note(self, path: str, keys: set[Key]) -> None:
        for key in self._wanting(path, keys, is_folder=False):
            self._wait(key, path)

    def _wait(self, key: Key, path: str) -> None:
        """Wait for further changes of an app, then report all of them."""
        delay, now = self._apps[key][0].debounce / 1000, self._loop.time()
        waiting = self._waiting.get(key)
        if waiting is None:
            waiting = self._waiting[key] = Waiting(self._loop.call_later(delay, self._report, key), now + 10 * delay)
        elif now < waiting.until:
            waiting.timer.cancel()
            waiting.timer = self._loop.call_later(min(delay, waiting.until - now), self._report, key)
        if len(waiting.paths) < MAX_PATHS:
            waiting.paths[path] = None

    def _report(self, key: Key) -> None:
        self._changed(key, list(self._waiting.pop(key).paths))

    def _restart_all(self) -> None:
        """Report all apps as changed, after an overflow: events were lost."""
        log.warning("too many files changed at once, and some events were lost: all watched apps restart")
        for key, (policy, _) in self._apps.items():
            for folder in policy.folders:
                self._add(folder, {key})
            self._changed(key, [*policy.folders])

    def _log_failure(self, path: str, error: OSError) -> None:
        why = LIMITS.get(error.errno or 0) or (error.strerror or str(error)).lower()
        # Inside a tree, a folder that was removed meanwhile or belongs to somebody else is no problem to log.
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EPERM) or path in {
            folder for policy, _ in self._apps.values() for folder in policy.folders
        }:
            text = f"cannot watch {path}: {why}"
            if text not in self._logged:
                self._logged.add(text)
                log.error("%s", text)
