"""The arguments and options that verbs share, each declared once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from omnitron.cli.options import options


def whole_number(least: int, most: int | None = None) -> Callable[[str], int]:
    """Return a parser of whole numbers from `least` to `most`, whose error says which are meant."""
    limits = f"from {least} to {most}" if most is not None else f"of {least} or more"

    def number(text: str) -> int:
        value = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
        if value < least or (most is not None and value > most):
            raise typer.BadParameter(f"{text!r} is not a whole number {limits}")
        return value

    return number


def _set_json(value: bool) -> bool:
    options.json = options.json or value
    return value


def _set_config(value: Path | None) -> Path | None:
    options.config = value or options.config
    return value


def _set_debug(value: bool) -> bool:
    options.debug = options.debug or value
    return value


Json = Annotated[bool, typer.Option("--json", callback=_set_json, help="Print one line of JSON.")]
Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", callback=_set_config, help="The definition; found from here upwards if omitted."),
]
Debug = Annotated[bool, typer.Option("--debug", callback=_set_debug, help="Show a traceback with an error.")]
User = Annotated[bool, typer.Option("--user", help="Your own systemd manager, not the system's.")]
Runtime = Annotated[bool, typer.Option("--runtime", help="Write units under /run: gone after a reboot.")]
Root = Annotated[
    Path | None,
    typer.Option("--root", help="Write below this folder, for a package or another host; touch no bus."),
]
SystemdVersion = Annotated[
    int | None,
    typer.Option("--systemd-version", help="Write units for this version of systemd, not the host's."),
]
Stacks = Annotated[list[str] | None, typer.Option("--stack", help="Only this stack; can be repeated. All if omitted.")]
OptionalStack = Annotated[
    str | None, typer.Argument(metavar="[STACK]", help="The stack; not needed where there is one.")
]
OptionalApp = Annotated[
    str | None,
    typer.Argument(metavar="[APP]", help="An app, process or instance: [stack/]app[:process][@instance]."),
]
App = Annotated[
    str, typer.Argument(metavar="APP", help="An app, process or instance: [stack/]app[:process][@instance].")
]
