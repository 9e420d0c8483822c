"""`infra`: the infrastructure services of an installed stack."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from omnitron.errors import NotPermittedError, OmnitronError, UsageError
from omnitron.names import INFRA_PREFIX, unit_part, unit_stem
from omnitron.observe.report import AppReport
from omnitron.operations.installed import reports, scopes
from omnitron.operations.job_runner import JobOutcome, outcome, reset_failed, run_steps
from omnitron.operations.secret_stores import open_store
from omnitron.operations.steps import Step
from omnitron.policy.model import ContainerPolicy, InfraServicePolicy, StackPolicy
from omnitron.systemd.journal_command import journal_command
from omnitron.systemd.local import runtime_folder

OURS = ("native", "docker")
"""Providers whose servers omnitron runs."""


@dataclass(frozen=True)
class InfraState:
    """An infrastructure service, and the report of the unit that runs it."""

    policy: InfraServicePolicy
    report: AppReport | None
    """None for one that omnitron does not run."""


@dataclass(frozen=True)
class ClientCommand:
    """The command of a server's own client."""

    argv: tuple[str, ...]
    package: str
    """Debian package that has it."""
    environment: Mapping[str, str]
    """Variables beside those of this process; secrets are here and not in `argv`."""


def states(policy: StackPolicy, *, is_user: bool) -> list[InfraState]:
    """Return each infrastructure service of a stack with its present state."""
    (report,) = reports([policy], is_user=is_user)
    apps = {app.policy.name: app for app in report.apps}
    return [InfraState(service, apps.get(service.app) if service.app else None) for service in policy.infra]


def find_service(policy: StackPolicy, name: str) -> InfraServicePolicy:
    """Return the service of a name; raises UsageError."""
    for service in policy.infra:
        if service.name == name.removeprefix(INFRA_PREFIX):
            return service
    names = ", ".join(service.name for service in policy.infra) or "none"
    raise UsageError(f"cannot find the service {name!r} of {policy.stack}: there is {names}")


def service_with_log(policy: StackPolicy, name: str | None) -> InfraServicePolicy:
    """Return the named service, or the first, of those that omnitron runs; raises UsageError."""
    service = find_service(policy, name) if name else next((item for item in policy.infra if item.app), None)
    if service is None:
        raise UsageError(f"cannot show a log: {policy.stack} has no service that omnitron runs")
    if service.app is None:
        hint = f"see: {journal_command(service.unit)}" if service.unit else None
        raise UsageError(f"cannot show a log: {service.name} is not omnitron's to run", hint=hint)
    return service


def psql_command(
    policy: StackPolicy, name: str, arguments: Sequence[str], *, is_user: bool, has_terminal: bool
) -> ClientCommand:
    """Return psql as the superuser of a PostgreSQL server: a database first, then options of psql's own."""
    server = _server_of_kind(policy, "postgres", name)
    options = list(arguments)
    first = options.pop(0) if options and not options[0].startswith("-") else None
    database = first or next(iter(server.databases), "postgres")
    if server.container:
        terminal = ["--tty"] if has_terminal else []
        client = ["psql", "-U", "postgres", "-d", database, *options]
        exec_ = ["docker", "exec", "--interactive", *terminal, server.container.name, *client]
        return ClientCommand(tuple(exec_), "docker.io", {})
    socket = str(_runtime_folder(policy, server, is_user=is_user))
    argv = ["psql", "-h", socket, "-p", str(_port(server)), "-U", "postgres", "-d", database, *options]
    if not is_user:
        if os.geteuid():
            raise NotPermittedError("cannot open psql: it takes the server's own account", hint="use sudo")
        argv = ["runuser", "-u", _account(policy, server), "--", *argv]
    return ClientCommand(tuple(argv), "postgresql-client", {})


def redis_command(policy: StackPolicy, name: str, arguments: Sequence[str], *, is_user: bool) -> ClientCommand:
    """Return redis-cli for a Redis server of the stack; the password is in the environment."""
    server = _server_of_kind(policy, "redis", name)
    password = None
    if server.password:
        password = open_store(scopes(is_user)[0], policy.stem, policy.project).get(server.password)
    argv = ("redis-cli", "-h", server.host, "-p", str(_port(server)), *arguments)
    return ClientCommand(argv, "redis-tools", {"REDISCLI_AUTH": password} if password else {})


def resettable_service(policy: StackPolicy, name: str) -> InfraServicePolicy:
    """Return the service of a name whose data omnitron may remove; raises UsageError."""
    server = find_service(policy, name)
    if server.app is None:
        raise UsageError(f"cannot reset {server.name}: it is not omnitron's to run ({server.provider})")
    return server


def reset_data(policy: StackPolicy, server: InfraServicePolicy, *, is_user: bool) -> JobOutcome:
    """Remove all data of a service, and start it with empty databases."""
    unit = next(app for app in policy.apps if app.name == server.app).services[0]
    failed = run_steps([Step("stop", (unit,), "its data is removed")], is_user=is_user)
    if not failed:
        # systemd cleans no unit that counts as failed.
        reset_failed([unit], is_user=is_user)
        if server.container:
            _remove_volumes(server.name, server.container)
        else:
            _remove_state(server.name, unit, is_user=is_user)
        failed = run_steps([Step("start", (unit,), "with no data")], is_user=is_user, reset=True)
    return outcome([server.name], failed, [policy], is_user=is_user)


def _remove_state(name: str, unit: str, *, is_user: bool) -> None:
    argv = ["systemctl", *(["--user"] if is_user else []), "clean", "--what=state", unit]
    result = subprocess.run(argv, capture_output=True, text=True, check=False)
    if result.returncode:
        raise OmnitronError(f"cannot remove the data of {name}: {result.stderr.strip()}")


def _remove_volumes(name: str, container: ContainerPolicy) -> None:
    # The library of the engine takes 70 ms to import, and most stacks have no container.
    from omnitron.programs.containers.engine import CannotError, EngineDownError, NamedContainer

    try:
        NamedContainer(container.name, container.volumes).remove(volumes=True)
    except (CannotError, EngineDownError) as error:
        raise OmnitronError(f"cannot remove the data of {name}: {error}") from error


def _port(server: InfraServicePolicy) -> int:
    return next(iter(server.ports.values()))


def _server_of_kind(policy: StackPolicy, kind: str, name: str) -> InfraServicePolicy:
    """Return the one server of a kind that omnitron runs, or the named one of them."""
    servers = [find_service(policy, name)] if name else [item for item in policy.infra if item.kind == kind]
    if len(servers) > 1:
        names = ", ".join(server.name for server in servers)
        raise UsageError(f"cannot tell which server is meant: {names}", hint="name it with --service")
    if not servers or servers[0].kind != kind or servers[0].provider not in OURS:
        raise UsageError(
            f"cannot find a {kind} server of {policy.stack} that omnitron runs", hint="omnitron infra status"
        )
    return servers[0]


def _runtime_folder(policy: StackPolicy, server: InfraServicePolicy, *, is_user: bool) -> Path:
    """Return the folder of the server's own socket."""
    parts = (unit_part(policy.prefix), unit_part(policy.stack), unit_stem("infra", server.name))
    return runtime_folder(is_user).joinpath(*parts)


def _account(policy: StackPolicy, server: InfraServicePolicy) -> str:
    """Return the user that the server runs as: its socket belongs to that user."""
    try:
        return _runtime_folder(policy, server, is_user=False).owner()
    except FileNotFoundError:
        raise UsageError(f"cannot reach {server.name}: it does not run", hint=f"omnitron start {server.app}") from None
