"""`omnitron infra`: the databases, caches and other services of a stack."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from omnitron.cli import job_results, log_output, output
from omnitron.cli.arguments import Debug, Json, User
from omnitron.cli.selection import is_user_scope, select_stack
from omnitron.errors import OmnitronError, UsageError
from omnitron.observe.conditions import as_data, text_of
from omnitron.operations import infra
from omnitron.operations import logs as log_operations

app = typer.Typer(
    name="infra", help="Look at the databases, caches and other services of a stack.", no_args_is_help=True
)

COLOURS = {"online": "green", "crashed": "red", "errored": "red"}

Stack = Annotated[str | None, typer.Option("--stack", help="The stack; not needed where there is one.")]
# What follows is the client's, its options too.
_CLIENT_ARGUMENTS = {"allow_interspersed_args": False, "ignore_unknown_options": True}
Arguments = Annotated[list[str] | None, typer.Argument(metavar="[ARGUMENT]...", help="Given to the client.")]
Service = Annotated[str, typer.Option("--service", help="The server, where a stack has several.")]


@app.command()
def status(stack: Stack = None, user: User = False, json: Json = False, debug: Debug = False) -> None:
    """Show each service: who runs it and why, where it listens, how it is, and who uses it."""
    is_user = is_user_scope(user)
    policy = select_stack(stack, is_user=is_user)
    states = infra.states(policy, is_user=is_user)
    if output.wants_json():
        output.data([_as_data(state) for state in states])
        return
    if not states:
        output.line(f"{policy.stack} of {policy.project} has no services")
        return
    rows = [_row(state) for state in states]
    colours = {(number, 2): COLOURS[row[2]] for number, row in enumerate(rows) if row[2] in COLOURS}
    output.table(("SERVICE", "PROVIDER", "STATUS", "ADDRESS", "USED BY", "NOTE"), rows, colours)


def _row(state: infra.InfraState) -> list[str]:
    service, report = state.policy, state.report
    return [
        service.name,
        service.provider,
        (report.status if report else service.unit) or "-",
        ", ".join(f"{service.host}:{port}" for port in service.ports.values()) or service.host,
        ", ".join(service.users) or "-",
        text_of(report.condition if report else None) or service.why,
    ]


def _as_data(state: infra.InfraState) -> dict[str, object]:
    service, report = state.policy, state.report
    return {
        "name": service.name,
        "kind": service.kind,
        "provider": service.provider,
        "why": service.why,
        "status": report.status if report else None,
        "note": text_of(report.condition if report else None) or None,
        "condition": as_data(report.condition if report else None),
        "host": service.host,
        "ports": dict(service.ports),
        "users": list(service.users),
        "databases": list(service.databases),
    }


@app.command()
def logs(
    service: Annotated[
        str | None, typer.Argument(metavar="[SERVICE]", help="The service; the first if omitted.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show new lines as they come, until Ctrl-C.")] = False,
    lines: Annotated[str | None, typer.Option("--lines", "-n", help="The latest so many, or `all`.")] = None,
    stack: Stack = None,
    user: User = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show the log of a service that omnitron runs."""
    is_user = is_user_scope(user)
    policy = select_stack(stack, is_user=is_user)
    server = infra.service_with_log(policy, service)
    sources = log_operations.sources(f"{policy.stack}/{server.app}", None, is_user=is_user, folder=Path.cwd())
    select = log_operations.LogFilter(lines=log_operations.check_lines(lines, None))
    log_output.show_log(sources, select, is_user=is_user, follow=follow)


@app.command(context_settings=_CLIENT_ARGUMENTS)
def psql(
    arguments: Arguments = None,
    service: Service = "",
    stack: Stack = None,
    user: User = False,
    debug: Debug = False,
) -> None:
    """Open psql as the superuser of the stack's PostgreSQL: DATABASE first, then options of psql's own."""
    is_user = is_user_scope(user)
    policy = select_stack(stack, is_user=is_user)
    words = arguments or []
    _become(infra.psql_command(policy, service, words, is_user=is_user, has_terminal=sys.stdin.isatty()))


@app.command("redis-cli", context_settings=_CLIENT_ARGUMENTS)
def redis_cli(
    arguments: Arguments = None,
    service: Service = "",
    stack: Stack = None,
    user: User = False,
    debug: Debug = False,
) -> None:
    """Open redis-cli on the stack's Redis, or run one command of it."""
    is_user = is_user_scope(user)
    policy = select_stack(stack, is_user=is_user)
    _become(infra.redis_command(policy, service, arguments or [], is_user=is_user))


@app.command()
def reset(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="The service.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    stack: Stack = None,
    user: User = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Remove all data of a service, and start it anew with empty databases."""
    is_user = is_user_scope(user)
    policy = select_stack(stack, is_user=is_user)
    server = infra.resettable_service(policy, service)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(f"cannot reset {server.name} unasked: all its data would be gone", hint="say --yes")
        typer.confirm(f"remove all data of {policy.stack}/{server.name}?", abort=True, err=True)
    job_results.finish("reset", infra.reset_data(policy, server, is_user=is_user))


def _become(command: infra.ClientCommand) -> NoReturn:
    """Replace this process by the client: the terminal, signals and the exit status are its own."""
    program = command.argv[0]
    try:
        os.execvpe(program, command.argv, {**os.environ, **command.environment})
    except OSError as error:
        raise OmnitronError(f"cannot run {program}: {error.strerror}", hint=f"apt install {command.package}") from error
