"""Importers: definitions made from the files of other tools.

An importer is pure but for what `Surroundings` lets it see: the source and what lies around it in, an
`Imported` out. What the source says and a definition cannot is a comment in it, and a warning.
"""

from __future__ import annotations

from pathlib import Path

from omnitron.definition.importers.document import Imported
from omnitron.definition.importers.surroundings import Surroundings
from omnitron.definition.source import read_text


def import_procfile(path: Path, around: Surroundings, project: str | None = None) -> Imported:
    """Import a Procfile; raises DefinitionError with every problem."""
    from omnitron.definition.importers import procfile

    return procfile.convert(path, read_text(path), around, project)


def import_compose(path: Path, around: Surroundings, project: str | None = None) -> Imported:
    """Import a compose file; raises DefinitionError with every problem."""
    from omnitron.definition.importers import compose, scalars

    return compose.convert(scalars.read_data(path), around, project)
