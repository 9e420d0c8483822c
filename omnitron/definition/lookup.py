"""The place of an ecosystem file: its names, and the folders that it is looked for in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from omnitron.authority import files
from omnitron.definition.paths import absolute, is_file
from omnitron.errors import OmnitronError

ECOSYSTEM_STEM = "omnitron.config"
SUFFIXES = (".py", ".toml", ".yaml", ".json")
ALSO_READ = (".yml",)


class NoDefinitionError(OmnitronError):
    """There is no ecosystem file where one was looked for."""

    exit_code = 3

    def __init__(self, where: Path) -> None:
        names = ", ".join(ECOSYSTEM_STEM + suffix for suffix in SUFFIXES)
        super().__init__(
            f"cannot find a definition: none of {names} is in {where} or a folder above it",
            hint="write one with `omnitron init`, or name it with --config",
        )


def find(config: Path | None, start: Path) -> Path:
    """Return the ecosystem file: `config` itself, else the nearest in `start` or a folder above it."""
    if config is not None:
        path = absolute(start, str(config))
        return next(_candidates(path), path)
    for folder in (start, *start.parents):
        for path in _candidates(folder):
            files.check_lookup(path, start)
            return path
    raise NoDefinitionError(start)


def _candidates(folder: Path) -> Iterator[Path]:
    return (path for suffix in SUFFIXES + ALSO_READ if is_file(path := folder / (ECOSYSTEM_STEM + suffix)))
