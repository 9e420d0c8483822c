"""The command line: loads the verb that is asked for, and alone prints errors and ends the process."""

from __future__ import annotations

import json
import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from omnitron.cli import output
from omnitron.cli.options import options
from omnitron.errors import OmnitronError
from omnitron.version import __version__

if TYPE_CHECKING:
    import typer  # 17 ms, and `--version` does without

VERBS = {
    "init": "init",
    "validate": "validate",
    "schema": "schema",
    "plan": "plan",
    "generate": "generate",
    "up": "up",
    "down": "down",
    "dev": "dev",
    "start": "start",
    "stop": "stop",
    "restart": "restart",
    "reload": "reload",
    "scale": "scale",
    "reset": "reset",
    "status": "status",
    "list": "list",
    "inspect": "inspect",
    "health": "health",
    "why": "why",
    "metrics": "metrics",
    "top": "top",
    "env": "env",
    "logs": "logs",
    "run": "run",
    "exec": "exec",
    "graph": "graph",
    "secret": "secret",
    "infra": "infra",
    "maintenance": "maintenance",
    "enable": "enable",
    "disable": "disable",
    "trust": "trust",
    "doctor": "doctor",
    "import": "imports",
    "sandbox": "sandbox",
}
"""Every verb and the module in this folder that has it: as a function of that name, or as `app`."""


def build(verbs: list[str]) -> typer.Typer:
    """Return the command line with the given verbs; what is not needed is not imported."""
    import typer

    app = typer.Typer(
        name="omnitron",
        help="Supervise whole systems with native systemd units.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    _global_options.__annotations__["version"] = Annotated[bool, typer.Option("--version", help="Print the version.")]
    app.callback()(_global_options)
    for verb in verbs:
        module = import_module(f"omnitron.cli.verbs.{VERBS[verb]}")
        if hasattr(module, "app"):
            app.add_typer(module.app, name=verb)
        else:
            settings = getattr(module, "CONTEXT_SETTINGS", None)
            app.command(verb, context_settings=settings)(getattr(module, f"{verb}_command"))
    return app


def _global_options(version: bool = False) -> None:
    """Supervise whole systems with native systemd units."""
    if version:
        output.line(__version__)
        raise SystemExit(0)


def main() -> None:
    """Run the command line and exit with its status."""
    arguments = sys.argv[1:]
    verb = next((word for word in arguments if not word.startswith("-")), None)
    completing = "_OMNITRON_COMPLETE" in os.environ
    verbs = [verb] if verb in VERBS and not completing else list(VERBS)
    if arguments[:1] == ["--version"]:
        _global_options(version=True)
    try:
        _check_folder()
        build(verbs)(prog_name="omnitron")
    except BrokenPipeError:
        # The reader has gone; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except OmnitronError as error:
        _report(error)
        sys.exit(error.exit_code)
    except Exception as error:
        # A mistake of ours: say so in one line all the same.
        if options.debug:
            raise
        _report(
            OmnitronError(f"cannot go on: {type(error).__name__}: {error}", hint="this is a bug; --debug shows where")
        )
        sys.exit(1)
    except KeyboardInterrupt:
        output.note("interrupted")
        sys.exit(128 + signal.SIGINT)


def _check_folder() -> None:
    try:
        Path.cwd()
    except FileNotFoundError:
        raise OmnitronError("cannot start here: this folder has been removed", hint="cd to another one") from None


def _report(error: OmnitronError) -> None:
    if options.debug:
        import traceback

        traceback.print_exception(error)
    if output.wants_json():
        output.note(json.dumps({"ok": False, "error": "\n".join(error.lines()), "exitCode": error.exit_code}))
        return
    first, *rest = error.lines()
    output.note(f"{output.paint('error:', 'red', sys.stderr)} {first}")
    for text in rest:
        output.note(f"       {text}")
