"""`omnitron import`: make a definition from a file of another tool."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Annotated

import typer

from omnitron.cli import output
from omnitron.cli.arguments import Debug, Json
from omnitron.errors import OmnitronError, UsageError

app = typer.Typer(name="import", help="Make a definition from a file of another tool.", no_args_is_help=True)

Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it to this file; print it if omitted.")
]
Force = Annotated[bool, typer.Option("--force", help="Let --output replace a file that is there.")]
Project = Annotated[
    str | None, typer.Option("--project", metavar="NAME", help="The project's name; the folder's if omitted.")
]


class CannotWriteError(OmnitronError):
    """The definition could not be written to where it was asked for."""

    def __init__(self, path: Path, why: str, hint: str | None = None) -> None:
        super().__init__(f"cannot write {path}: {why}", hint=hint)


@app.command()
def procfile(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A Procfile; .env beside it is read too.")],
    output_file: Output = None,
    force: Force = False,
    project: Project = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Import a Procfile of foreman, honcho or Heroku."""
    _import("procfile", file, output_file, force, project)


@app.command()
def compose(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A docker-compose.yml; .env beside it is read too.")],
    output_file: Output = None,
    force: Force = False,
    project: Project = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Import a compose file: services with a command become apps, images alone containers."""
    _import("compose", file, output_file, force, project)


@app.command()
def pm2(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="ecosystem.config.js, or one in JSON or YAML.")],
    output_file: Output = None,
    force: Force = False,
    project: Project = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Import an ecosystem file of pm2; one in JavaScript is evaluated with node."""
    _import("pm2", file, output_file, force, project)


def _import(tool: str, file: Path, target: Path | None, force: bool, project: str | None) -> None:
    """Print or write the definition; what could not be carried over goes to stderr, a line each."""
    from omnitron import names
    from omnitron.importers import emit, import_file
    from omnitron.importers.host_files import Surroundings

    if project is not None and (reason := names.why_not_a_name(project)):
        raise UsageError(f"cannot call the project {project!r}: the name {reason}")
    home = _folder(target) if target else Path.cwd()
    around = Surroundings(_folder(file), home, dict(os.environ), os.cpu_count() or 1)
    imported = import_file(tool, file, around, project)
    text = emit.document(imported.definition)
    warnings = [str(warning) for warning in imported.warnings]
    if target is not None:
        _write(target, text, _mode([file, *around.files]), force)
    if output.wants_json():
        output.data({"definition": imported.definition, "warnings": warnings})
        return
    for warning in warnings:
        output.warn(warning)
    if target is None:
        output.line(text.rstrip("\n"))
    else:
        apps = len(imported.definition["apps"])
        output.line(f"wrote {target} ({apps} apps, {len(warnings)} warnings)")
        if os.geteuid() == 0 and not all("user" in app for app in imported.definition["apps"]):
            output.line("it belongs to root, so each app must name its user: add `user: www-data`, or chown the file")
        output.line(f"next: omnitron validate --config {target}")


def _folder(file: Path) -> Path:
    """Return the folder of a file, symlinks kept."""
    return Path(os.path.normpath(Path.cwd() / file.parent))


def _exists(path: Path) -> CannotWriteError:
    return CannotWriteError(path, "it is there already", "name another --output, or replace it with --force")


def _mode(sources: list[Path]) -> int:
    """Return permissions that let nobody read what they could not read in the sources."""
    mode = 0o666
    for source in sources:
        with contextlib.suppress(OSError):
            mode &= source.stat().st_mode | 0o600
    return mode


def _write(path: Path, text: str, mode: int, force: bool) -> None:
    """Write a new file, or put it in the place of another in one step."""
    target = path.parent / f".{path.name}.{os.getpid()}.new" if force else path
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        if force:
            os.replace(target, path)
    except FileExistsError as error:
        raise _exists(target) from error
    except OSError as error:
        if force:
            target.unlink(missing_ok=True)
        raise CannotWriteError(path, (error.strerror or str(error)).lower()) from error
