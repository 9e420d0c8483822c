"""Changes a set of files atomically: after a crash at any moment, all changes are made or none.

New files are staged beside their final paths; then a journal of all steps is written and synced, which is the
commit; then files are renamed and removed. The next process finishes an existing journal, and deletes staged
files without one.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omnitron.errors import NotPermittedError, OmnitronError
from omnitron.install.manifest import Manifest, load
from omnitron.install.scope import Scope

STAGED = ".omnitron-staged-"
"""Prefix of staged files. Their names end in `.new`, so that systemd does not read them."""

Reload = Callable[[], None]


class ForeignPathError(OmnitronError):
    """A manifest or a journal names a file outside of the folders for files of omnitron."""

    def __init__(self, source: Path, path: Path) -> None:
        super().__init__(
            f"cannot change {path}: {source} names it, but omnitron has no files there",
            hint=f"check if somebody has changed {source.name}, then move it away: mv {source} {source}.broken",
        )


class SymlinkError(OmnitronError):
    """A symbolic link below --root could lead out of it."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"cannot write below {path}: it is a symbolic link", hint="use a --root without symbolic links"
        )


@dataclass(frozen=True)
class Transaction:
    """One set of changes: texts to write by path, paths to remove, and the manifest after the change.

    A manifest without files is removed: the stack is no longer installed.
    """

    writes: Mapping[Path, str]
    removes: tuple[Path, ...]
    manifest: Manifest


class Store:
    """The installed files of one scope. Use inside `with store.locked():`."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    def manifest_path(self, stem: str) -> Path:
        """Return the path of the manifest of a stack; `stem` is for example `omnitron-dev`."""
        return self.scope.state / f"{stem}.json"

    def manifest(self, stem: str) -> Manifest | None:
        """Return the manifest of a stack with resolved paths, None if it is not installed."""
        path = self.manifest_path(stem)
        manifest = load(path)
        if manifest is None:
            return None
        files = {str(self._resolved(name, path)): entry for name, entry in manifest.files.items()}
        return replace(manifest, files=files)

    def _resolved(self, name: str, source: Path) -> Path:
        """Return the path that the manifest or journal `source` names; ForeignPathError if it must not."""
        path = self.scope.resolved(name)
        if not self.scope.owns(path):
            raise ForeignPathError(source, path)
        return path

    @contextmanager
    def locked(self, reload: Reload, waits: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Hold the lock, and first finish or undo the change of a process that was killed.

        `reload` is called after finishing a change, `waits` before waiting for the lock of another process.
        """
        umask = os.umask(0o022)  # units, policies and manifests are for everybody to read
        try:
            with _explained(self.scope.state):
                self._make_folder(self.scope.state)
                flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
                # 0600: every user who can open the file could lock it.
                descriptor = os.open(self.scope.state / "lock", flags, 0o600)
            try:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    waits()
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
                self._recover(reload)
                yield
            finally:
                os.close(descriptor)
        finally:
            os.umask(umask)

    def is_interrupted(self) -> bool:
        """Return whether an interrupted change has to be finished."""
        with contextlib.suppress(OSError):
            return any(self.scope.state.glob("*.journal"))
        return False

    def apply(self, stem: str, change: Transaction, reload: Reload) -> None:
        """Make `change`, then call `reload`. After an error before the commit nothing is changed."""
        final = dict(change.writes)
        removes = [*change.removes]
        if change.manifest.files:
            files = {self.scope.stored(Path(name)): entry for name, entry in change.manifest.files.items()}
            final[self.manifest_path(stem)] = replace(change.manifest, files=files).dump()
        else:
            removes.append(self.manifest_path(stem))
        staged: dict[Path, Path] = {}
        journal = self.scope.state / f"{stem}.journal"
        with _explained(self.scope.units):
            try:
                for path, text in final.items():
                    self._make_folder(path.parent)
                    staged[path] = path.with_name(f"{STAGED}{path.name}.new")
                    _write_new(staged[path], text)
                stored = self.scope.stored
                renames = [[stored(temporary), stored(path)] for path, temporary in staged.items()]
                steps = {"renames": renames, "removes": [stored(path) for path in removes]}
                _sync_filesystems({path.parent for path in final})
                _write_new(journal.with_suffix(".journal-new"), json.dumps(steps), sync=True)
                os.replace(journal.with_suffix(".journal-new"), journal)
            except BaseException:
                if not journal.exists():
                    for temporary in (*staged.values(), journal.with_suffix(".journal-new")):
                        with contextlib.suppress(OSError):
                            temporary.unlink(missing_ok=True)
                raise
        self._finish(journal, reload)

    def _recover(self, reload: Reload) -> None:
        for journal in sorted(self.scope.state.glob("*.journal")):
            self._finish(journal, reload)
        with _explained(self.scope.state):
            for folder in self.scope.folders:
                for leftover in folder.glob(STAGED + "*") if folder.is_dir() else ():
                    leftover.unlink(missing_ok=True)
            for leftover in self.scope.state.glob("*.journal-new"):
                leftover.unlink(missing_ok=True)

    def _finish(self, journal: Path, reload: Reload) -> None:
        """Do the steps of a journal. Steps that are done already may be repeated."""
        with _explained(self.scope.units, "the next run of omnitron finishes the change"):
            _sync_folder(journal.parent)
            steps = _steps(journal)
            renames = [(self._resolved(old, journal), self._resolved(new, journal)) for old, new in steps["renames"]]
            removes = [self._resolved(name, journal) for name in steps["removes"]]
            touched = {path.parent for path in (*(path for pair in renames for path in pair), *removes)}
            for folder in touched:
                self.refuse_links(folder)
            for temporary, path in renames:
                with contextlib.suppress(FileNotFoundError):
                    os.replace(temporary, path)
            for path in removes:
                with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                    path.unlink()
            _sync_filesystems(touched)
        reload()
        journal.unlink()

    def _make_folder(self, folder: Path) -> None:
        self.refuse_links(folder)
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)

    def refuse_links(self, folder: Path) -> None:
        """Raise where a link on the way from --root to `folder` could lead out of it."""
        root = self.scope.root
        for path in (folder, *folder.parents) if root else ():
            if path == root:
                return
            if path.is_symlink():
                raise SymlinkError(path)


class DamagedJournalError(OmnitronError):
    """A journal that cannot be finished because it is damaged."""

    def __init__(self, journal: Path) -> None:
        super().__init__(
            f"cannot finish an interrupted change: {journal} is damaged",
            hint=f"move it away, then generate again: mv {journal} {journal}.broken",
        )


def _steps(journal: Path) -> dict[str, Any]:
    """Return the steps of a journal: `renames` as pairs of paths, `removes` as paths."""
    try:
        steps = json.loads(journal.read_text())
        pairs, paths = steps["renames"], steps["removes"]
        if all(isinstance(path, str) for path in [*(path for pair in pairs for path in pair), *paths]):
            return {"renames": [(old, new) for old, new in pairs], "removes": paths}
    except (ValueError, TypeError, KeyError, IsADirectoryError, RecursionError) as error:
        raise DamagedJournalError(journal) from error
    raise DamagedJournalError(journal)


def digest(text: str) -> str:
    """Return the digest of the text of a file, as the manifest stores it."""
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def _explained(folder: Path, outcome: str = "nothing was changed") -> Iterator[None]:
    """Turn errors of the operating system into errors for the user."""
    try:
        yield
    except PermissionError as error:
        raise NotPermittedError(
            f"cannot write {error.filename or folder}: permission denied",
            hint="use sudo for the system's units, or --user for your own",
        ) from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OmnitronError(f"cannot write {error.filename or folder}: {reason}; {outcome}") from error


def _write_new(path: Path, text: str, *, sync: bool = False) -> None:
    """Write a new file. Fails if the path exists, also as a symbolic link."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o644)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        if sync:
            file.flush()
            os.fsync(descriptor)


def _sync_filesystems(folders: set[Path]) -> None:
    """Sync each file system once: syncing a thousand files one by one takes seconds."""
    libc = ctypes.CDLL(None, use_errno=True)
    seen: set[int] = set()
    for folder in folders:
        if not folder.is_dir() or folder.stat().st_dev in seen:
            continue
        seen.add(folder.stat().st_dev)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if libc.syncfs(descriptor):
                code = ctypes.get_errno()
                raise OSError(code, os.strerror(code), str(folder))
        finally:
            os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
