"""`omnitron schema`: JSON Schema of the definition files, for editors."""

from __future__ import annotations

import json as json_module
from enum import StrEnum
from typing import Annotated

import typer

from omnitron.cli import output
from omnitron.cli.arguments import Debug


class Kind(StrEnum):
    """The file that the schema is of."""

    ECOSYSTEM = "ecosystem"
    SYSTEM = "system"


KindArgument = Annotated[Kind, typer.Argument(help="omnitron.config.*, or bootstrap.*")]


def schema_command(kind: KindArgument, debug: Debug = False) -> None:
    """Print the JSON Schema of a definition file, so that editors complete and check it.

    In YAML: `# yaml-language-server: $schema=ecosystem.json` as the first line.
    """
    from omnitron.definition.schema import json_schema

    output.line(json_module.dumps(json_schema(kind.value), indent=2))
