"""Importers: definitions made from the files of other tools.

An importer is pure except for its access to the host through `Surroundings`: from a source to an `Imported`.
A setting that a definition cannot express becomes a comment in it, and a warning.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from omnitron.definition.source import read_text
from omnitron.errors import DefinitionError, Problem
from omnitron.importers import scalars
from omnitron.importers.document import Imported
from omnitron.importers.host_files import Surroundings

JAVASCRIPT = (".js", ".cjs", ".mjs")
JSON_HINT = (
    "pm2 accepts JavaScript in a .json file: put `module.exports =` in front of it, and name it ecosystem.config.js"
)

Importer = Callable[[Path, Surroundings, str | None], Imported]


def import_file(tool: str, path: Path, around: Surroundings, project: str | None = None) -> Imported:
    """Import a file of `tool`, one of IMPORTERS; raises DefinitionError with every problem.

    `project` is the project's name; None means the name in the source, or that of its folder.
    """
    try:
        return IMPORTERS[tool](path, around, project)
    except RecursionError as error:
        raise DefinitionError([Problem(str(path), 0, "", "cannot import: nested too deeply")]) from error


def _procfile(path: Path, around: Surroundings, project: str | None) -> Imported:
    from omnitron.importers.procfile import importer  # 58 ms

    return importer.convert(path, read_text(path).text, around, project)


def _compose(path: Path, around: Surroundings, project: str | None) -> Imported:
    from omnitron.importers.compose import importer  # 125 ms, which the other tools do without

    return importer.convert(scalars.read_data(path), around, project)


def _pm2(path: Path, around: Surroundings, project: str | None) -> Imported:
    from omnitron.importers.pm2 import importer, javascript  # 59 ms

    if path.suffix in JAVASCRIPT:
        return importer.convert(javascript.read(path), around, project)
    try:
        source = scalars.read_data(path)
    except DefinitionError as error:
        if path.suffix == ".json":
            raise DefinitionError([replace(problem, hint=JSON_HINT) for problem in error.problems]) from error
        raise
    return importer.convert(source, around, project)


IMPORTERS: dict[str, Importer] = {"compose": _compose, "pm2": _pm2, "procfile": _procfile}
"""The importers by the name of the tool, as in `omnitron import TOOL`."""
