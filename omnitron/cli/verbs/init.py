"""`omnitron init`: write a definition to start from."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

import typer

from omnitron.cli import output
from omnitron.cli.arguments import Debug
from omnitron.definition.lookup import ECOSYSTEM_STEM, SUFFIXES
from omnitron.errors import OmnitronError

TEMPLATE = """\
# A system for omnitron. What each field means: `omnitron schema ecosystem`, or docs/fields.md.
project: {project}

apps:
  # An app is a script, a command, or a bootstrap file with several processes.
  - name: web
    command: [python3, -m, http.server, "8000", --bind, 127.0.0.1]
{user}    transports:
      http: {{port: 8000, host: 127.0.0.1}}
    # It counts as started when this answers, and so may those start that depend on it.
    health:
      probe: {{type: http, target: /}}

stacks:
  dev: {{type: local}}
"""
ROOT_USER = "    user: www-data # root writes this file, so the user must be named\n"

Folder = Annotated[Path, typer.Argument(help="The project's folder.")]


class AlreadyThereError(OmnitronError):
    """There is a definition already."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"cannot write a definition: {path} is there already", hint="see it with: omnitron validate")


def init_command(folder: Folder = Path(), debug: Debug = False) -> None:
    """Write a small definition, omnitron.config.yaml, to start from. Overwrites nothing."""
    for suffix in SUFFIXES:
        if (path := folder / (ECOSYSTEM_STEM + suffix)).exists():
            raise AlreadyThereError(path)
    project = re.sub(r"[^A-Za-z0-9_.-]", "-", folder.resolve().name)[:40].strip("-.") or "project"
    path = folder / f"{ECOSYSTEM_STEM}.yaml"
    user = ROOT_USER if os.geteuid() == 0 else ""
    try:
        with path.open("x") as file:
            file.write(TEMPLATE.format(project=project, user=user))
    except OSError as error:
        raise OmnitronError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from error
    output.line(f"wrote {path}")
    output.line("next: omnitron validate, then omnitron up (where systemd does not run: omnitron sandbox up)")
