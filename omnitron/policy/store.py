"""The compiled policies of the installed stacks: where their files are, and all of some folders."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from omnitron.errors import NotPermittedError, OmnitronError
from omnitron.policy.codec import read
from omnitron.policy.model import InstalledPolicy, StackPolicy


def file_name(stem: str) -> str:
    """Return the name of a stack's policy: `stem` is `omnitron-dev`."""
    return f"{stem}.json"


def read_policies(
    folders: Iterable[Path], damaged: Callable[[OmnitronError], None] | None = None
) -> list[InstalledPolicy]:
    """Return what is installed, by name of the file; the first folder that has a stack wins, as for unit files.

    A damaged file is left out and passed to `damaged`, or raises OmnitronError without one; a folder that is not
    there is empty.
    """
    paths: dict[str, Path] = {}
    for folder in folders:
        for path in _files(folder):
            paths.setdefault(path.name, path)
    policies = []
    for name in sorted(paths):
        try:
            policies.append(_read(paths[name]))
        except OmnitronError as error:
            if damaged is None:
                raise
            damaged(error)
    return policies


def _files(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if _is_policy(path)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except PermissionError as error:
        raise NotPermittedError(f"cannot list {folder}: permission denied", hint="use sudo") from error


def _is_policy(path: Path) -> bool:
    """Return whether a file is a policy: its prefix and stack have no dash (`unit_part`); other files have more."""
    return path.suffix == ".json" and path.stem.count("-") == 1 and not path.name.startswith(".")


def _read(path: Path) -> InstalledPolicy:
    return InstalledPolicy(**vars(read(path, StackPolicy)), path=path)
