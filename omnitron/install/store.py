"""Changes a set of files as one step: after a kill at any moment, all of it is done or none.

New files are staged beside their places, then a journal that names every step is synced: the commit.
Then files are renamed and removed. Whoever comes next finishes a journal that is there, and sweeps
away what was staged without one.
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
"""Begins the name of every staged file, which ends in `.new`: nobody reads such a name."""

Reload = Callable[[], None]


class ForeignFileError(OmnitronError):
    """A file that is not ours stands where one of ours should go."""

    def __init__(self, path: Path) -> None:
        masked = path.is_symlink() and path.readlink() == Path("/dev/null")
        what = "it is masked" if masked else "a file is there that omnitron did not write"
        cure = f"systemctl unmask {path.name}" if masked else f"move it away: mv {path} {path}.old"
        super().__init__(f"cannot write {path}: {what}", hint=cure)


class ForeignPathError(OmnitronError):
    """A manifest or a journal names a file where none of ours can be."""

    def __init__(self, told_by: Path, path: Path) -> None:
        super().__init__(
            f"cannot change {path}: {told_by} names it, and it is no place for a file of omnitron's",
            hint=f"look whether somebody has changed that file, then move it away: mv {told_by} {told_by}.broken",
        )


class SymlinkError(OmnitronError):
    """A symbolic link below --root would lead out of it."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"cannot write below {path}: it is a symbolic link", hint="name a --root without links in it")


@dataclass(frozen=True)
class Transaction:
    """What is to change: texts by path, paths to remove, and the manifest that is true afterwards.

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
        """Return where the manifest of a stack lies; `stem` is `omnitron-dev`."""
        return self.scope.state / f"{stem}.json"

    def manifest(self, stem: str) -> Manifest | None:
        """Return what is installed for a stack, by the paths of the files here."""
        path = self.manifest_path(stem)
        found = load(path)
        if found is None:
            return None
        files = {str(self._placed(name, path)): entry for name, entry in found.files.items()}
        return replace(found, files=files)

    def _placed(self, name: str, told_by: Path) -> Path:
        """Return the path that `told_by` names; ForeignPathError for one that no file of ours can have."""
        path = self.scope.placed(name)
        if not self.scope.owns(path):
            raise ForeignPathError(told_by, path)
        return path

    @contextmanager
    def locked(self, reload: Reload, waits: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Keep others out, and first finish or undo what a killed one left.

        `reload` is called if that matters, `waits` when another is at work and has to be waited for.
        """
        umask = os.umask(0o022)  # units, policies and manifests are for everybody to read
        try:
            with _explained(self.scope.state):
                self._make_folder(self.scope.state)
                flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
                # Whoever can open it can hold it.
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
        """Whether a killed change waits to be finished."""
        with contextlib.suppress(OSError):
            return any(self.scope.state.glob("*.journal"))
        return False

    def apply(self, stem: str, change: Transaction, reload: Reload) -> None:
        """Make `change`, then call `reload`; on any error before the commit nothing has changed."""
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
        """Do every step of a journal that is not done yet. Each can be repeated."""
        with _explained(self.scope.units, "the next run finishes the change"):
            _sync_folder(journal.parent)
            steps = _steps(journal)
            renames = [(self._placed(old, journal), self._placed(new, journal)) for old, new in steps["renames"]]
            removes = [self._placed(name, journal) for name in steps["removes"]]
            touched = {path.parent for path in (*(path for pair in renames for path in pair), *removes)}
            for folder in touched:
                self._refuse_links(folder)
            for temporary, path in renames:
                with contextlib.suppress(FileNotFoundError):
                    os.replace(temporary, path)
            for path in removes:
                with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                    path.unlink()
            _sync_filesystems(touched)
        reload()
        journal.unlink()

    def check_places(self, paths: Mapping[Path, str], installed: Manifest | None) -> None:
        """Raise when a file that is not ours stands at one of `paths` (with the text that it shall have).

        Ours is what the manifest names and, should that be lost, what says that it was made from the same definition.
        """
        known = installed.files if installed else {}
        for path, text in paths.items():
            self._refuse_links(path.parent)
            if not os.path.lexists(path):
                continue
            is_file = path.is_file() and not path.is_symlink()
            if not is_file or (str(path) not in known and not _same_source(path.read_text(errors="replace"), text)):
                raise ForeignFileError(path)

    def _make_folder(self, folder: Path) -> None:
        self._refuse_links(folder)
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)

    def _refuse_links(self, folder: Path) -> None:
        root = self.scope.root
        for path in (folder, *folder.parents) if root else ():
            if path == root:
                return
            if path.is_symlink():
                raise SymlinkError(path)


def _same_source(present: str, wanted: str) -> bool:
    """Whether two texts of ours were made from the same definition: by the first line, or a policy's `source`."""
    if wanted.startswith(("#", "<!--")):
        return present.partition("\n")[0] == wanted.partition("\n")[0]
    try:
        return bool(json.loads(present)["source"] == json.loads(wanted)["source"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


class DamagedJournalError(OmnitronError):
    """A journal that cannot be finished, because it cannot be read."""

    def __init__(self, journal: Path) -> None:
        super().__init__(
            f"cannot finish an interrupted change: {journal} is damaged",
            hint=f"move it away, then generate again: mv {journal} {journal}.broken",
        )


def _steps(journal: Path) -> dict[str, Any]:
    """Return what a journal says is to be done: `renames` as pairs of paths, `removes` as paths."""
    try:
        steps = json.loads(journal.read_text())
        pairs, paths = steps["renames"], steps["removes"]
        if all(isinstance(path, str) for path in [*(path for pair in pairs for path in pair), *paths]):
            return {"renames": [(old, new) for old, new in pairs], "removes": paths}
    except (ValueError, TypeError, KeyError, IsADirectoryError, RecursionError) as error:
        raise DamagedJournalError(journal) from error
    raise DamagedJournalError(journal)


def digest(text: str) -> str:
    """Return the digest of a file's text, as the manifest keeps it."""
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def _explained(folder: Path, outcome: str = "nothing was changed") -> Iterator[None]:
    """Turn what the operating system refuses into an error for the user."""
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
    """Write a file that did not exist, through no link that somebody laid in its place."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o644)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        if sync:
            file.flush()
            os.fsync(descriptor)


def _sync_filesystems(folders: set[Path]) -> None:
    """Sync each file system once: a thousand files one by one would take seconds."""
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
