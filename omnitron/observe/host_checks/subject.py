"""The subject of the checks besides the host: the definition, and installed units."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Definition:
    """The definition that is found from here."""

    path: Path
    errors: tuple[str, ...]
    """Problems of it."""
    programs: tuple[tuple[str, str], ...]
    """Address and program of each process."""
    cure: str | None = None
    """Remedy of an error that is not about the text of the definition."""


@dataclass(frozen=True)
class InstalledUnit:
    """A file that omnitron has installed, and what it refers to."""

    path: Path
    state: Literal["same", "changed", "missing"]
    """Against what was written."""
    paths: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    user: str | None = None


@dataclass(frozen=True)
class Subject:
    """Everything that is checked besides the host itself."""

    is_user: bool
    definition: Definition | None = None
    units: tuple[InstalledUnit, ...] = ()
    interrupted: bool = False
    """True if a killed change waits to be finished."""
    errors: tuple[str, ...] = ()
    """Why something installed could not be read."""
    lost_manifests: tuple[Path, ...] = ()
    """Manifests that are missing, though their stacks are installed."""
