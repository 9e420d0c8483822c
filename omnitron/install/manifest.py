"""The manifest of one stack: its project and its installed files, as it lies on the disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from omnitron.errors import OmnitronError


@dataclass(frozen=True)
class Entry:
    """One installed file."""

    digest: str
    """SHA-256 of the text."""
    run_digest: str | None = None
    """Digest of the `[Service]` section."""
    since: int = 0
    """Time of the last change of `run_digest`: microseconds of the real-time clock."""


@dataclass(frozen=True)
class Manifest:
    """The files of one stack of one project."""

    project: str
    source: str
    """Path of the definition."""
    prefix: str
    stack: str
    files: Mapping[str, Entry] = field(default_factory=dict)

    def dump(self) -> str:
        """Return the manifest as text."""
        return json.dumps({"version": 1, **asdict(self)}) + "\n"


class OwnedByAnotherError(OmnitronError):
    """Another project has a stack with the same prefix and name."""

    def __init__(self, owner: Manifest) -> None:
        super().__init__(
            f"cannot install the stack {owner.stack!r}: its unit names belong to project {owner.project!r} "
            f"({owner.source})",
            hint="set a different unitPrefix for this project",
        )


def load(path: Path) -> Manifest | None:
    """Return the manifest at `path`, None if there is none; OmnitronError if it is damaged."""
    try:
        data = json.loads(path.read_text())
        entries = {name: Entry(**entry) for name, entry in data["files"].items()}
        return Manifest(data["project"], data["source"], data["prefix"], data["stack"], entries)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError, IsADirectoryError, RecursionError) as error:
        raise OmnitronError(
            f"cannot tell what is installed: {path} is damaged",
            hint=f"move it away; `omnitron generate` recognises the files by their first line: mv {path} {path}.broken",
        ) from error


def check_owner(installed: Manifest | None, project: str, source: str) -> None:
    """Raise OwnedByAnotherError unless the stack is free, or of this project, even if its folder has changed."""
    if installed is None or installed.source == source:
        return
    is_relocated = installed.project == project and not Path(installed.source).exists()
    if not is_relocated:
        raise OwnedByAnotherError(installed)
