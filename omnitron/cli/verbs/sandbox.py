"""`omnitron sandbox`: a disposable systemd for a machine that has none."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from omnitron.sandbox import Sandbox, SandboxStatus

app = typer.Typer(
    name="sandbox",
    help="Boot a disposable systemd from this machine's own files, for a machine that has none.",
    no_args_is_help=True,
)

# What follows the command is the command's, its options too.
_COMMAND_ARGUMENTS = {"allow_interspersed_args": False, "ignore_unknown_options": True}


@app.command()
def up(
    private_network: Annotated[
        bool, typer.Option("--private-network", help="Give it a loopback of its own, not the host's network.")
    ] = False,
) -> None:
    """Boot it, and wait until it answers. Nothing on this machine changes."""
    sandbox = Sandbox()
    sandbox.up(private_network=private_network)
    typer.echo(_sentence(sandbox.status()))


@app.command("exec", context_settings=_COMMAND_ARGUMENTS)
def exec_(
    command: Annotated[list[str], typer.Argument(metavar="COMMAND [ARGUMENT]...", show_default=False)],
) -> None:
    """Run a command in it as root, here or in / when there is no such directory inside."""
    _replace(command)


@app.command()
def shell() -> None:
    """Open a shell in it as root."""
    _replace(["/bin/bash"])


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Say whether it is up, and which systemd it runs. Exit status 1 when it is down."""
    state = Sandbox().status()
    typer.echo(json.dumps(dataclasses.asdict(state)) if as_json else _sentence(state))
    if not state.running:
        raise typer.Exit(1)


@app.command()
def down() -> None:
    """Power it off and remove it, with everything that was written in it."""
    sandbox = Sandbox()
    sandbox.down()
    typer.echo(_sentence(sandbox.status()))


def _sentence(state: SandboxStatus) -> str:
    if not state.running:
        return f"machine '{state.name}' is down"
    detail = f"systemd {state.systemd}, leader {state.leader}, for {state.since:.0f} s"
    return f"machine '{state.name}' is up: {detail}"


def _replace(command: Sequence[str]) -> NoReturn:
    """Become the command: the terminal, signals and the exit status need nobody to pass them on."""
    sandbox = Sandbox()
    here = Path.cwd()
    argv = sandbox.argv(command, cwd=here if sandbox.has_directory(here) else None)
    sys.stdout.flush()
    # Python ignores it, and an ignored signal stays ignored.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execvp(argv[0], argv)
