"""The files that root takes the word of: root's own, and those in a folder that root has trusted.

A file passes if nobody else could have written it or could put another in its place: it, each link on the way to it,
and every folder above it belong to root (or to the owner of the trusted folder), and neither group nor others may
write them. A sticky folder such as /tmp is fine where the path was named: only a file's owner can replace it there.

For other users than root nothing is asked: they act with their own rights.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from omnitron.authority import trusted_folders
from omnitron.authority.accounts import name_of
from omnitron.errors import OmnitronError

ROOT = frozenset({0})
OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
MAX_STEPS = 4096
"""Names of a path and of the links in it; the kernel follows 40 links at most."""


@dataclass(frozen=True)
class Flaw:
    """The first thing on the way to a file that is not as it must be."""

    path: Path
    owner: int
    mode: int
    """Permission bits: 0o644."""
    is_foreign: bool
    """True if the owner is wrong; else others than the owner may write it."""

    def __str__(self) -> str:
        """Say what is wrong: `/srv/shop belongs to alice (mode 0755)`."""
        if self.is_foreign:
            return f"{self.path} belongs to {name_of(self.owner)} (mode {self.mode:04o})"
        who = "everybody" if self.mode & stat.S_IWOTH else "its group"
        return f"{self.path} can be written by {who} (owner {name_of(self.owner)}, mode {self.mode:04o})"


class UntrustedFileError(OmnitronError):
    """Root was asked to act on a definition that somebody else wrote, or could have changed."""

    exit_code = 5

    def __init__(self, file: Path, flaw: Flaw, cures: Iterable[str]) -> None:
        self.flaw = flaw
        self.cures = tuple(cures)
        what = str(flaw).replace(str(file), "it", 1) if flaw.path == file else str(flaw)
        super().__init__(f"cannot act as root on {file}: {what}", hint="; or ".join(self.cures))

    def lines(self) -> list[str]:
        """One line for what is wrong, and one for each cure."""
        return [self.brief, *(f"{'or ' if index else ''}{cure}" for index, cure in enumerate(self.cures))]


class UnnamedDefinitionError(OmnitronError):
    """Root was not told which definition is meant, and the one that was found lies where others can write."""

    exit_code = 5

    def __init__(self, file: Path, start: Path, flaw: Flaw) -> None:
        status = file.lstat()
        owner = f"it belongs to {name_of(status.st_uid)} (mode {stat.S_IMODE(status.st_mode):04o})"
        super().__init__(
            f"cannot use {file}, found above {start}: {owner}, and {flaw}",
            hint=f"if it is the one that you mean, name it: --config {file}",
        )


def check(file: Path, owner: int | None = None) -> frozenset[int] | None:
    """Refuse a file whose word root must not take; return the users whose word counts there, None without root.

    `owner` is the uid of whose it was when it was read; by default, of whose it is now.
    """
    if os.geteuid() != 0:
        return None
    file.stat()  # what is not there, or a loop of links, is told as that
    return _check(file, owner)


def _check(file: Path, owner: int | None = None) -> frozenset[int]:
    # Trust is looked up where it is needed alone: a damaged record of it must not stop root's own definitions.
    if first_flaw(file, ROOT, owner) is None:
        return ROOT
    users = trusted_users(file)
    if flaw := first_flaw(file, users, owner):
        raise UntrustedFileError(file, flaw, _cures(file, flaw))
    return users


def check_tree(path: Path) -> None:
    """Refuse, as `check` does, a file, or a folder with anything in it that root must not take the word of.

    What is not there is the subject of others.
    """
    if os.geteuid() != 0 or not path.exists():
        return
    check(path)
    visited: set[Path] = set()
    for folder, folders, names in os.walk(path, followlinks=True):
        real = Path(folder).resolve()
        if real in visited:  # a link to a folder above
            folders.clear()
            continue
        visited.add(real)
        for name in (*folders, *names):
            _check(Path(folder) / name)


def check_written_by_owner(file: Path, owner: int) -> None:
    """Refuse, as root, a file that others than its owner can change: it is about to be run as that owner."""
    if os.geteuid() == 0 and (flaw := first_flaw(file, ROOT | {owner}, owner)):
        raise UntrustedFileError(file, flaw, [_own_cure(file, flaw)])


def check_lookup(file: Path, start: Path) -> None:
    """Refuse, as root, a definition that was found above `start` in a folder in which others than root can write."""
    if os.geteuid() != 0 or file.parent == start:
        return
    if first_flaw(file.parent, ROOT, may_be_sticky=False) is None:
        return
    if flaw := first_flaw(file.parent, trusted_users(file.parent), may_be_sticky=False):
        raise UnnamedDefinitionError(file, start, flaw)


def trusted_users(path: Path) -> frozenset[int]:
    """Return the users whose word counts at `path`: root, and the owner of the trusted folder that holds it."""
    trusted = trusted_folders.covering(path.resolve())
    return ROOT | {trusted.uid} if trusted else ROOT


def first_flaw(
    file: Path, users: frozenset[int], owner: int | None = None, *, may_be_sticky: bool = True
) -> Flaw | None:
    """Return the first thing on the way to `file`, which may be a folder, that others than `users` own or may write.

    `may_be_sticky`: whether a sticky folder will do as `file` itself; on the way to it, it does. Where there is no
    file, it is about who could make it.
    """
    last, *before = reversed(list(_on_the_way(file)))
    may_be_sticky = may_be_sticky and os.path.lexists(last)
    for path in (last, *before):
        try:
            status = path.lstat()
        except FileNotFoundError:
            last = path.parent
            continue
        mode = stat.S_IMODE(status.st_mode)
        owners = {status.st_uid} if path != last or owner is None else {status.st_uid, owner}
        if foreign := owners - users:
            return Flaw(path, min(foreign), mode, is_foreign=True)
        is_sticky = stat.S_ISDIR(status.st_mode) and mode & stat.S_ISVTX and (may_be_sticky or path != last)
        # The mode of a link says nothing.
        if mode & OTHERS_MAY_WRITE and not is_sticky and not stat.S_ISLNK(status.st_mode):
            return Flaw(path, status.st_uid, mode, is_foreign=False)
    return None


def _on_the_way(path: Path) -> Iterator[Path]:
    """Yield every folder and link that the kernel goes through on the way to `path`, and what it arrives at.

    Each link of a chain of them: whoever owns one decides where it leads.
    """
    here, names = Path("/"), list(reversed(path.parts[1:]))
    yield here
    for _ in range(MAX_STEPS):
        if not names:
            return
        name = names.pop()
        if name == "..":
            here = here.parent
            continue
        item = here / name
        yield item
        if item.is_symlink():
            target = item.readlink()
            here = Path("/") if target.is_absolute() else here
            names += reversed(target.parts[target.is_absolute() :])
        else:
            here = item
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


def _cures(file: Path, flaw: Flaw) -> Iterator[str]:
    folder = file.resolve().parent
    yield _own_cure(file, flaw)
    if flaw.is_foreign and folder != Path("/"):
        who = name_of(flaw.owner)
        yield f"omnitron trust {folder}: {who} is then as good as root on this host"
        yield f"run omnitron as {who}, with --user: in {who}'s own manager, with no rights but {who}'s"


def _own_cure(file: Path, flaw: Flaw) -> str:
    real = file.resolve()
    if not flaw.is_foreign:
        return f"chmod go-w {flaw.path}"
    if flaw.path.is_symlink():
        return f"chown -h root {flaw.path}"
    if flaw.path in (real, real.parent):
        return f"chown -R root: {real.parent}"
    return f"move {real.parent} to where only root can write, such as /srv"
