"""What omnitron has installed for one stack, and for whom: only files named here are ever changed."""

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
    """SHA-256 of its text."""
    run_digest: str | None = None
    """Digest of what its service is run with."""
    since: int = 0
    """When `run_digest` last changed: microseconds of the real-time clock."""


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
    """Another project has the same prefix and stack."""

    def __init__(self, owner: Manifest) -> None:
        super().__init__(
            f"cannot install the stack {owner.stack!r}: its unit names belong to project {owner.project!r} "
            f"({owner.source})",
            hint="give this project a unitPrefix of its own",
        )


def load(path: Path) -> Manifest | None:
    """Return the manifest at `path`, None when there is none; a damaged one is an error."""
    try:
        data = json.loads(path.read_text())
        entries = {name: Entry(**entry) for name, entry in data["files"].items()}
        return Manifest(data["project"], data["source"], data["prefix"], data["stack"], entries)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError, IsADirectoryError, RecursionError) as error:
        raise OmnitronError(
            f"cannot tell what is installed: {path} is damaged",
            hint=f"move it away; the next generate finds its files by what they say: mv {path} {path}.broken",
        ) from error


def check_owner(installed: Manifest | None, project: str, source: str) -> None:
    """Raise OwnedByAnotherError unless the stack is free, ours, or that of a project that has moved."""
    if installed is None or installed.source == source:
        return
    moved = installed.project == project and not Path(installed.source).exists()
    if not moved:
        raise OwnedByAnotherError(installed)
