"""`omnitron secret`: what a stack's processes are given, and nobody else may know."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from omnitron.cli import job_results, output
from omnitron.cli.arguments import Config, Debug, Json, User
from omnitron.cli.context import load_ecosystem, make_scope, one_stack, secret_store
from omnitron.errors import DefinitionError, UsageError
from omnitron.names import unit_stem

if TYPE_CHECKING:
    from omnitron.install.scope import Scope
    from omnitron.operations.steps import Step
    from omnitron.policy.model import StackPolicy
    from omnitron.secrets.store import SecretStore

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
    scope, chosen, store = _opened(stack, user)
    _set(store, name, value)
    using = _using(scope, chosen, name)
    if using and (policy := _installed(scope, chosen)):
        job_results.carry_out(_reopening(policy, is_user=scope.name == "user"), is_user=scope.name == "user")
    if output.wants_json():
        output.data({"set": name, "stack": chosen, "stale": using})
        return
    output.line(f"set {name} of {chosen}")
    if using:
        output.note(f"{', '.join(using)} still run with the old one: omnitron secret rotate does both")


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
    _, chosen, store = _opened(stack, user)
    value = store.get(name)
    if value is None:
        raise _unknown(name, chosen, store)
    if output.wants_json():
        output.data({"name": name, "value": value})
    else:
        output.line(value)


@app.command("list")
def list_(
    stack: Stack = None, user: User = False, config: Config = None, json: Json = False, debug: Debug = False
) -> None:
    """Show which secrets there are, when they were set, and which processes are given them; no values."""
    scope, chosen, store = _opened(stack, user)
    rows = [(kept.name, kept.changed, _users(scope, chosen, kept.name)) for kept in store.list()]
    if output.wants_json():
        output.data([{"name": name, "changedAt": round(at * 1000), "users": users} for name, at, users in rows])
        return
    if not rows:
        output.line(f"{chosen} has no secrets")
        return
    table = [
        (name, f"{datetime.fromtimestamp(at):%Y-%m-%d %H:%M}", ", ".join(users) or "-") for name, at, users in rows
    ]
    output.table(("NAME", "SET", "USED BY"), table)


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
    scope, chosen, store = _opened(stack, user)
    users = _users(scope, chosen, name)
    if users:
        raise UsageError(
            f"cannot delete the secret {name!r}: {', '.join(users)} would not start without it",
            hint="take it out of the definition first, and generate",
        )
    if not store.delete(name):
        raise _unknown(name, chosen, store)
    if output.wants_json():
        output.data({"deleted": name, "stack": chosen})
    else:
        output.line(f"deleted {name} of {chosen}")


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
    from omnitron.operations.steps import Step
    from omnitron.secrets.store import check_value, random_value

    scope, chosen, store = _opened(stack, user)
    if store.get(name) is None:
        raise _unknown(name, chosen, store)
    store.set(name, check_value(_from_stdin()) if stdin else random_value())
    policy = _installed(scope, chosen)
    is_user = scope.name == "user"
    services = _using(scope, chosen, name)
    # One after another: a server has the new value before who asks it.
    steps = [Step("restart", (service,), "a secret of its is new") for service in services]
    if services and policy:
        steps = [*_reopening(policy, is_user=is_user), *steps]
    failed = job_results.carry_out(steps, is_user=is_user, reset=True) if steps else []
    if not output.wants_json():
        output.line(f"set {name} of {chosen} anew" + ("" if stdin else ", to a random value"))
    job_results.finish("restarted", services if not failed else [], failed, [policy] if policy else [], is_user=is_user)


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
    from omnitron.importers import dotenv
    from omnitron.secrets.store import check_name, check_value

    _, chosen, store = _opened(stack, user)
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {file}: {getattr(error, 'strerror', None) or error}") from error
    variables, problems = dotenv.foreman(file, text)
    if problems:
        raise DefinitionError(replace(one, message="cannot read this line: it is not NAME=VALUE") for one in problems)
    values = {check_name(one.name): check_value((one.value or "").encode()) for one in variables}
    for name, value in values.items():
        store.set(name, value)
    if output.wants_json():
        output.data({"set": list(values), "stack": chosen})
    else:
        output.line(f"set {output.count(len(values), 'secret')} of {chosen}: {', '.join(values) or 'none'}")


def _reopening(policy: StackPolicy, *, is_user: bool) -> list[Step]:
    """Return what has the sealed secrets of a running stack opened anew, for whatever starts from now on."""
    from omnitron.operations.steps import Step

    return [Step("reload", (policy.opener,), "a secret is new")] if is_user else []


def _opened(stack: str | None, user: bool) -> tuple[Scope, str, SecretStore]:
    """Return the scope, the stack that is meant, and its secrets; another project's are refused."""
    from omnitron.install.manifest import check_owner
    from omnitron.install.store import Store

    scope = make_scope(user=user)
    ecosystem = load_ecosystem()
    config = ecosystem.config
    chosen = one_stack(stack, [name for name, one in config.stacks.items() if one.type == "local"])
    stem = unit_stem(config.unit_prefix, chosen)
    check_owner(Store(scope).manifest(stem), config.project, str(ecosystem.path))
    return scope, chosen, secret_store(scope, stem, config.project)


def _set(store: SecretStore, name: str, value: str | None) -> None:
    from omnitron.secrets.store import check_name, check_value

    check_name(name)
    if value is not None:
        given = value.encode()
    elif sys.stdin.isatty():
        given = str(typer.prompt(name, hide_input=True, confirmation_prompt=True, err=True)).encode()
    else:
        given = _from_stdin()
    store.set(name, check_value(given))


def _from_stdin() -> bytes:
    """Return what stdin has; the newline that `echo` adds is no part of it."""
    return sys.stdin.buffer.read().removesuffix(b"\n")


def _unknown(name: str, stack: str, store: SecretStore) -> UsageError:
    known = ", ".join(kept.name for kept in store.list()) or "none"
    return UsageError(
        f"cannot find the secret {name!r} of {stack}: there is {known}", hint=f"omnitron secret set {name} makes it"
    )


def _installed(scope: Scope, stack: str) -> StackPolicy | None:
    from omnitron.cli.selection import scopes
    from omnitron.policy.store import read_policies

    config = load_ecosystem().config
    stem = unit_stem(config.unit_prefix, stack)
    found = read_policies([one.policies for one in scopes(scope.name == "user")])
    return next((policy for policy in found if policy.stem == stem), None)


def _users(scope: Scope, stack: str, name: str) -> list[str]:
    """Return the installed processes that are given a secret."""
    policy = _installed(scope, stack)
    processes = [(app, process) for app in policy.apps for process in app.processes] if policy else []
    return [
        app.name if len(app.processes) == 1 else f"{app.name}:{process.name}"
        for app, process in processes
        if name in process.secrets
    ]


def _using(scope: Scope, stack: str, name: str) -> list[str]:
    """Return the running services that were given a secret, in the order in which their apps start."""
    from omnitron.policy.model import Selection

    policy = _installed(scope, stack)
    if policy is None:
        return []
    targets = [Selection(policy, app, None, None) for app in policy.apps]
    running = {unit: policy.address_of(unit) for unit in job_results.running(targets, is_user=scope.name == "user")}
    return [
        service
        for app in policy.apps
        for process in app.processes
        if name in process.secrets
        for service, address in sorted(running.items())
        if address and address.app == app.name and address.process in (None, process.name)
    ]
