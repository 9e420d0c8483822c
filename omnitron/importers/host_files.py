"""An importer's view of the host: the files beside the source, the environment, the accounts."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from omnitron.definition.source import read_text


@dataclass(frozen=True)
class Surroundings:
    """The folder of the source, and the host around it. Relative paths are relative to that folder."""

    folder: Path
    """The absolute folder of the source."""
    home: Path
    """The absolute folder of the future definition."""
    environ: Mapping[str, str] = field(default_factory=dict)
    cpus: int = 1
    files: list[Path] = field(default_factory=list)
    """The files that were read beside the source."""

    def absolute(self, path: str) -> Path:
        """Return a path of the source, made absolute and normalised; `~` has no special meaning."""
        return Path(os.path.normpath(self.folder / path))

    def read(self, path: str) -> str | None:
        """Return the text of a file, None when there is none; raises like `read_text`."""
        file = self.absolute(path)
        if not _is(file, stat.S_ISREG):
            return None
        self.files.append(file)
        return read_text(file).text

    def is_file(self, path: str) -> bool:
        """Return whether there is such a file."""
        return _is(self.absolute(path), stat.S_ISREG)

    def home_file(self, cwd: str, path: str) -> bool:
        """Return whether the file exists for a definition at `home` with this `cwd`."""
        return _is(self.home / cwd / path, stat.S_ISREG)

    def is_binary(self, path: str) -> bool:
        """Return whether a file is a binary and not a script."""
        try:
            with self.absolute(path).open("rb") as file:
                return b"\0" in file.read(1024)
        except (OSError, ValueError):
            return False

    def working_directory(self, path: str = ".") -> str | None:
        """Return the `cwd` that means `path` in a definition at `home`: empty for home itself.

        None when there is no such folder: a definition must not name it.
        """
        folder = self.absolute(path)
        if not _is(folder, stat.S_ISDIR):
            return None
        if folder == self.home:
            return ""
        inside = folder.relative_to(self.home).as_posix() if self.home in folder.parents else ""
        return inside if inside and not inside.startswith("~") else str(folder)


def _is(path: Path, of_kind: object) -> bool:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return bool(callable(of_kind) and of_kind(mode))


def account(name: str) -> str:
    """Return the name of the user with a number, if the host has it; a name stays as it is."""
    try:
        return pwd.getpwuid(int(name)).pw_name
    except (KeyError, ValueError, OverflowError):
        return name


def group(name: str) -> str:
    """Return the name of the group with a number, if the host has it; a name stays as it is."""
    try:
        return grp.getgrgid(int(name)).gr_name
    except (KeyError, ValueError, OverflowError):
        return name
