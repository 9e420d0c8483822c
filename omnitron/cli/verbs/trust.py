"""`omnitron trust`: take the word of a folder's owner as root's."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from omnitron.authority.trusted_folders import TrustedFolder
from omnitron.cli import output
from omnitron.cli.arguments import Debug, Json
from omnitron.errors import UsageError
from omnitron.operations import trust


def trust_command(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[FOLDER]", help="The folder; with --list, all if omitted.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="Show the folders that are trusted.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Trust the folder no longer.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Let root act on the definitions in a folder that is another user's.

    Whoever can write there is then as good as root on this host.
    """
    if list_ and (remove or folder):
        raise UsageError("cannot combine --list with a folder or --remove: it shows all that are trusted")
    if list_:
        _show(trust.trusted())
        return
    if folder is None:
        raise UsageError("name the folder", hint="omnitron trust --list shows those that are trusted")
    if remove:
        path = trust.distrust(folder)
        _print({"distrusted": str(path)}, f"{path} is no longer trusted; what is installed from it goes on")
        return
    candidate = trust.prepare_trust(folder)
    if not output.wants_json():
        output.line(
            f"Whoever can write in {candidate.path} is then as good as root on this host: "
            f"what a definition there says, root does. "
            f"It belongs to {candidate.owner}; the trust ends when it belongs to somebody else."
        )
    if not yes:
        _ask(candidate)
    trust.trust(candidate)
    _print({"trusted": _as_data(candidate)}, f"{candidate.path} is trusted")


def _ask(folder: TrustedFolder) -> None:
    if output.wants_json() or not sys.stdin.isatty():
        raise UsageError(f"cannot ask whether to trust {folder.path}: this is no terminal", hint="say it with --yes")
    if not typer.confirm("Trust it?"):
        raise typer.Exit(1)


def _show(folders: list[TrustedFolder]) -> None:
    if output.wants_json():
        output.data([_as_data(folder) for folder in folders])
        return
    if not folders:
        output.line("no folder is trusted: root acts on root's own definitions alone")
        return
    rows = [
        (str(folder.path), folder.owner, folder.by, f"{datetime.fromtimestamp(folder.at):%Y-%m-%d %H:%M}")
        + (("yes",) if folder.is_current() else ("no: it is away, or another's",))
        for folder in folders
    ]
    output.table(("FOLDER", "OWNER", "TRUSTED BY", "SINCE", "IN FORCE"), rows)


def _as_data(folder: TrustedFolder) -> dict[str, object]:
    return {**asdict(folder), "path": str(folder.path), "at": round(folder.at * 1000), "inForce": folder.is_current()}


def _print(data: dict[str, object], text: str) -> None:
    if output.wants_json():
        output.data(data)
    else:
        output.line(text)
