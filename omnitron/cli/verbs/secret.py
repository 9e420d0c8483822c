"""`omnitron secret`: what a stack's processes are given, and nobody else may know."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from omnitron.cli import job_results, output
from omnitron.cli.arguments import Config, Debug, Json, User
from omnitron.cli.options import load_ecosystem, make_scope
from omnitron.errors import UsageError
from omnitron.operations import secrets

if TYPE_CHECKING:
    from omnitron.operations.secrets import StackSecrets

app = typer.Typer(
    name="secret",
    help="Keep what a stack's processes are given, and nobody else may know: `${secret:NAME}` in env refers to it.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the secret.")]
Stack = Annotated[str | None, typer.Option("--stack", help="The stack; not needed where there is one.")]
Value = Annotated[
    str | None,
    typer.Option("--value", help="The value itself: others see it while this runs, and the shell remembers it."),
]


@app.command("set")
def set_(
    name: Name,
    value: Value = None,
    stack: Stack = None,
    user: User = False,
    config: Config = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Set a secret, to what is typed or comes from stdin. Processes that run keep the old one: see `rotate`."""
    opened = _open(stack, user)
    services = secrets.set_secret(opened, name, _typed(name) if value is None else value.encode())
    if output.wants_json():
        output.data({"set": name, "stack": opened.stack, "stale": services})
        return
    output.line(f"set {name} of {opened.stack}")
    if services:
        output.note(f"{', '.join(services)} still run with the old one: omnitron secret rotate does both")


@app.command()
def get(
    name: Name,
    stack: Stack = None,
    user: User = False,
    config: Config = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Print a secret."""
    value = secrets.get_secret(_open(stack, user), name)
    if output.wants_json():
        output.data({"name": name, "value": value})
    else:
        output.line(value)


@app.command("list")
def list_(
    stack: Stack = None, user: User = False, config: Config = None, json: Json = False, debug: Debug = False
) -> None:
    """Show which secrets there are, when they were set, and which processes are given them; no values."""
    opened = _open(stack, user)
    uses = secrets.list_secrets(opened)
    if output.wants_json():
        output.data(
            [{"name": use.name, "changedAt": round(use.changed * 1000), "users": list(use.processes)} for use in uses]
        )
        return
    if not uses:
        output.line(f"{opened.stack} has no secrets")
        return
    rows = [
        (use.name, f"{datetime.fromtimestamp(use.changed):%Y-%m-%d %H:%M}", ", ".join(use.processes) or "-")
        for use in uses
    ]
    output.table(("NAME", "SET", "USED BY"), rows)


@app.command()
def delete(
    name: Name,
    stack: Stack = None,
    user: User = False,
    config: Config = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Delete a secret that no installed process uses."""
    opened = _open(stack, user)
    secrets.delete_secret(opened, name)
    if output.wants_json():
        output.data({"deleted": name, "stack": opened.stack})
    else:
        output.line(f"deleted {name} of {opened.stack}")


@app.command()
def rotate(
    name: Name,
    stdin: Annotated[bool, typer.Option("--stdin", help="Take the new value from stdin, not a random one.")] = False,
    stack: Stack = None,
    user: User = False,
    config: Config = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Set a secret anew, to a random value or one from stdin, and restart the running processes that use it."""
    opened = _open(stack, user)
    outcome = secrets.rotate_secret(opened, name, _from_stdin() if stdin else None)
    if not output.wants_json():
        output.line(f"set {name} of {opened.stack} anew" + ("" if stdin else ", to a random value"))
    job_results.finish("restarted", outcome)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Lines of NAME=VALUE, as in a .env; - is stdin.")],
    stack: Stack = None,
    user: User = False,
    config: Config = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Set every secret of a file; none when a line of it cannot be read."""
    opened = _open(stack, user)
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {file}: {getattr(error, 'strerror', None) or error}") from error
    names = secrets.import_secrets(opened, file, text)
    if output.wants_json():
        output.data({"set": names, "stack": opened.stack})
    else:
        output.line(f"set {output.count(len(names), 'secret')} of {opened.stack}: {', '.join(names) or 'none'}")


def _open(stack: str | None, user: bool) -> StackSecrets:
    return secrets.open_secrets(load_ecosystem(), make_scope(user=user), stack)


def _typed(name: str) -> bytes:
    """Return the value of a secret from a prompt, or from stdin where that is no terminal."""
    if sys.stdin.isatty():
        return str(typer.prompt(name, hide_input=True, confirmation_prompt=True, err=True)).encode()
    return _from_stdin()


def _from_stdin() -> bytes:
    """Return what stdin has; the newline that `echo` adds is no part of it."""
    return sys.stdin.buffer.read().removesuffix(b"\n")
