"""`omnitron infra`: the databases, caches and other services of a stack."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from omnitron.cli import job_results, output
from omnitron.cli.arguments import Debug, Json, User
from omnitron.cli.selection import is_user_scope, one_installed, reports, scopes
from omnitron.errors import NotPermittedError, OmnitronError, UsageError
from omnitron.names import INFRA

if TYPE_CHECKING:
    from collections.abc import Mapping

    from omnitron.policy.model import ContainerPolicy, InfraServicePolicy, StackPolicy

app = typer.Typer(
    name="infra", help="Look at the databases, caches and other services of a stack.", no_args_is_help=True
)

OURS = ("native", "docker")
COLOURS = {"online": "green", "crashed": "red", "errored": "red"}

Stack = Annotated[str | None, typer.Option("--stack", help="The stack; not needed where there is one.")]
# What follows is the client's, its options too.
_AS_GIVEN = {"allow_interspersed_args": False, "ignore_unknown_options": True}
Arguments = Annotated[list[str] | None, typer.Argument(metavar="[ARGUMENT]...", help="Given to the client.")]
Service = Annotated[str, typer.Option("--service", help="The server, where a stack has several.")]


@app.command()
def status(stack: Stack = None, user: User = False, json: Json = False, debug: Debug = False) -> None:
    """Show each service: who runs it and why, where it listens, how it is, and who uses it."""
    is_user = is_user_scope(user)
    policy = one_installed(stack, is_user=is_user)
    (report,) = reports([policy], is_user=is_user)
    states = {one.policy.name: (one.status, one.note) for one in report.apps}
    rows = [(one, *(states.get(one.app, ("", "")) if one.app else ("", ""))) for one in policy.infra]
    if output.wants_json():
        output.data([_data(one, status_, note) for one, status_, note in rows])
        return
    if not rows:
        output.line(f"{policy.stack} of {policy.project} has no services")
        return
    table = [
        (
            one.name,
            one.provider,
            status_ or one.unit or "-",
            _address(one),
            ", ".join(one.users) or "-",
            note or one.why,
        )
        for one, status_, note in rows
    ]
    colours = {(number, 2): COLOURS[row[1]] for number, row in enumerate(rows) if row[1] in COLOURS}
    output.table(("SERVICE", "PROVIDER", "STATUS", "ADDRESS", "USED BY", "NOTE"), table, colours)


@app.command()
def logs(
    service: Annotated[str | None, typer.Argument(metavar="[SERVICE]", help="The service; all if omitted.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show new lines as they come, until Ctrl-C.")] = False,
    lines: Annotated[str | None, typer.Option("--lines", "-n", help="The latest so many, or `all`.")] = None,
    stack: Stack = None,
    user: User = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show the log of a service that omnitron runs."""
    from omnitron.cli.verbs.logs import logs_command

    policy = one_installed(stack, is_user=is_user_scope(user))
    chosen = _service(policy, service) if service else next((one for one in policy.infra if one.app), None)
    if chosen is None or chosen.app is None:
        raise UsageError(
            f"cannot show a log: {chosen.name} is not omnitron's to run"
            if chosen
            else f"cannot show a log: {policy.stack} has no service that omnitron runs",
            hint=f"see: journalctl -e -u {chosen.unit}" if chosen and chosen.unit else None,
        )
    logs_command(f"{policy.stack}/{chosen.app}", follow=follow, lines=lines, user=user)


@app.command(context_settings=_AS_GIVEN)
def psql(
    arguments: Arguments = None,
    service: Service = "",
    stack: Stack = None,
    user: User = False,
    debug: Debug = False,
) -> None:
    """Open psql as the superuser of the stack's PostgreSQL: DATABASE first, then options of psql's own."""
    is_user = is_user_scope(user)
    policy = one_installed(stack, is_user=is_user)
    server = _of_kind(policy, "postgres", service)
    given = list(arguments or [])
    database = given.pop(0) if given and not given[0].startswith("-") else next(iter(server.databases), "postgres")
    if server.container:
        terminal = ["--tty"] if sys.stdin.isatty() else []
        inside = ["psql", "-U", "postgres", "-d", database, *given]
        _become(["docker", "exec", "--interactive", *terminal, server.container.name, *inside], "docker.io", {})
    socket = str(_runtime(policy, server, is_user=is_user))
    argv = ["psql", "-h", socket, "-p", str(_port(server)), "-U", "postgres", "-d", database, *given]
    if not is_user:
        if os.geteuid():
            raise NotPermittedError("cannot open psql: it takes the server's own account", hint="use sudo")
        argv = ["runuser", "-u", _account(policy, server), "--", *argv]
    _become(argv, "postgresql-client", {})


@app.command("redis-cli", context_settings=_AS_GIVEN)
def redis_cli(
    arguments: Arguments = None,
    service: Service = "",
    stack: Stack = None,
    user: User = False,
    debug: Debug = False,
) -> None:
    """Open redis-cli on the stack's Redis, or run one command of it."""
    from omnitron.cli.context import secret_store

    is_user = is_user_scope(user)
    policy = one_installed(stack, is_user=is_user)
    server = _of_kind(policy, "redis", service)
    password = (
        secret_store(scopes(is_user)[0], policy.stem, policy.project).get(server.password) if server.password else None
    )
    argv = ["redis-cli", "-h", server.host, "-p", str(_port(server)), *(arguments or [])]
    _become(argv, "redis-tools", {"REDISCLI_AUTH": password} if password else {})


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
    from omnitron.operations.steps import Step

    is_user = is_user_scope(user)
    policy = one_installed(stack, is_user=is_user)
    server = _service(policy, service)
    if server.app is None:
        raise UsageError(f"cannot reset {server.name}: it is not omnitron's to run ({server.provider})")
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(f"cannot reset {server.name} unasked: all its data would be gone", hint="say --yes")
        typer.confirm(f"remove all data of {policy.stack}/{server.name}?", abort=True, err=True)
    unit = next(one for one in policy.apps if one.name == server.app).services[0]
    failed = job_results.carry_out([Step("stop", (unit,), "its data is removed")], is_user=is_user)
    if not failed:
        # systemd cleans nothing that counts as failed.
        job_results.reset([unit], is_user=is_user)
        if server.container:
            _empty_container(server.name, server.container)
        else:
            _empty_folder(server.name, unit, is_user=is_user)
        failed = job_results.carry_out([Step("start", (unit,), "with no data")], is_user=is_user, reset=True)
    job_results.finish("reset", [server.name] if not failed else [], failed, [policy], is_user=is_user)


def _empty_folder(name: str, unit: str, *, is_user: bool) -> None:
    argv = ["systemctl", *(["--user"] if is_user else []), "clean", "--what=state", unit]
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        raise OmnitronError(f"cannot remove the data of {name}: {done.stderr.strip()}")


def _empty_container(name: str, container: ContainerPolicy) -> None:
    from omnitron.programs.containers.engine import CannotError, EngineDownError, NamedContainer

    try:
        NamedContainer(container.name, container.volumes).remove(volumes=True)
    except (CannotError, EngineDownError) as error:
        raise OmnitronError(f"cannot remove the data of {name}: {error}") from error


def _data(one: InfraServicePolicy, status_: str, note: str) -> dict[str, object]:
    return {
        "name": one.name,
        "kind": one.kind,
        "provider": one.provider,
        "why": one.why,
        "status": status_ or None,
        "note": note or None,
        "host": one.host,
        "ports": dict(one.ports),
        "users": list(one.users),
        "databases": list(one.databases),
    }


def _address(one: InfraServicePolicy) -> str:
    return ", ".join(f"{one.host}:{port}" for port in one.ports.values()) or one.host


def _port(one: InfraServicePolicy) -> int:
    return next(iter(one.ports.values()))


def _service(policy: StackPolicy, name: str) -> InfraServicePolicy:
    for one in policy.infra:
        if one.name == name.removeprefix(INFRA):
            return one
    known = ", ".join(one.name for one in policy.infra) or "none"
    raise UsageError(f"cannot find the service {name!r} of {policy.stack}: there is {known}")


def _of_kind(policy: StackPolicy, kind: str, name: str) -> InfraServicePolicy:
    """Return the one server of a kind that is ours, or the named one of them."""
    chosen = [_service(policy, name)] if name else [one for one in policy.infra if one.kind == kind]
    if len(chosen) > 1:
        raise UsageError(
            f"cannot tell which server is meant: {', '.join(one.name for one in chosen)}", hint="name it with --service"
        )
    if not chosen or chosen[0].kind != kind or chosen[0].provider not in OURS:
        raise UsageError(
            f"cannot find a {kind} server of {policy.stack} that omnitron runs", hint="omnitron infra status"
        )
    return chosen[0]


def _runtime(policy: StackPolicy, server: InfraServicePolicy, *, is_user: bool) -> Path:
    """Return the folder of the server's own socket."""
    from omnitron.names import unit_part, unit_stem
    from omnitron.systemd.local import runtime_folder

    parts = (unit_part(policy.prefix), unit_part(policy.stack), unit_stem("infra", server.name))
    return runtime_folder(is_user).joinpath(*parts)


def _account(policy: StackPolicy, server: InfraServicePolicy) -> str:
    """Return the user whose socket it is: the server's."""
    path = _runtime(policy, server, is_user=False)
    try:
        return path.owner()
    except FileNotFoundError:
        raise UsageError(f"cannot reach {server.name}: it does not run", hint=f"omnitron start {server.app}") from None


def _become(argv: list[str], package: str, variables: Mapping[str, str]) -> NoReturn:
    try:
        os.execvpe(argv[0], argv, {**os.environ, **variables})
    except OSError as error:
        raise OmnitronError(f"cannot run {argv[0]}: {error.strerror}", hint=f"apt install {package}") from error
