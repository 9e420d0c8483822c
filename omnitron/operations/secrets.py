"""Secrets of a stack: the store they are in, and the processes that use them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from omnitron.definition.project import Ecosystem
from omnitron.errors import DefinitionError, UsageError
from omnitron.install.manifest import check_owner
from omnitron.install.scope import Scope
from omnitron.install.store import Store
from omnitron.names import unit_stem
from omnitron.operations import audit
from omnitron.operations.installed import running, scopes, select_stack
from omnitron.operations.job_runner import JobOutcome, outcome, run_steps
from omnitron.operations.secret_stores import open_store
from omnitron.operations.steps import Step
from omnitron.policy.model import Selection, StackPolicy
from omnitron.policy.store import read_policies
from omnitron.secrets.store import check_name, check_value, random_value

if TYPE_CHECKING:
    from omnitron.secrets.store import SecretStore


@dataclass(frozen=True)
class StackSecrets:
    """The secrets of one stack of a definition, installed or not."""

    definition: Path
    scope: Scope
    stack: str
    store: SecretStore
    policy: StackPolicy | None
    """None where the stack is not installed."""

    @property
    def is_user(self) -> bool:
        """Return whether the user's own manager runs the stack."""
        return self.scope.name == "user"


@dataclass(frozen=True)
class SecretUse:
    """A secret, without its value."""

    name: str
    changed: float
    """Time at which it was set, in unix seconds."""
    processes: tuple[str, ...]
    """Installed processes that get it: `app`, or `app:process`."""


def open_secrets(ecosystem: Ecosystem, scope: Scope, stack: str | None) -> StackSecrets:
    """Return the secrets of the stack that is meant; those of another project are refused."""
    config = ecosystem.config
    name = select_stack(stack, [name for name, stack_ in config.stacks.items() if stack_.type == "local"])
    stem = unit_stem(config.unit_prefix, name)
    check_owner(Store(scope).manifest(stem), config.project, str(ecosystem.path))
    policies = read_policies([place.policies for place in scopes(scope.name == "user")])
    policy = next((policy for policy in policies if policy.stem == stem), None)
    return StackSecrets(ecosystem.path, scope, name, open_store(scope, stem, config.project), policy)


def set_secret(secrets: StackSecrets, name: str, value: bytes) -> list[str]:
    """Set a secret; return the running services that still have the old value.

    A user's secrets are opened anew, so that whatever starts from now on has the new one.
    """
    check_name(name)
    secrets.store.set(name, check_value(value))
    _record("set", name, secrets)
    services = services_with(secrets, name)
    if services and secrets.policy:
        run_steps(_steps_to_reopen(secrets.policy, is_user=secrets.is_user), is_user=secrets.is_user)
    return services


def get_secret(secrets: StackSecrets, name: str) -> str:
    """Return the value of a secret; raises UsageError when there is none."""
    value = secrets.store.get(name)
    if value is None:
        raise _no_such_secret(secrets, name)
    _record("get", name, secrets)
    return value


def list_secrets(secrets: StackSecrets) -> list[SecretUse]:
    """Return what secrets there are, without their values."""
    return [SecretUse(info.name, info.changed, tuple(_users(secrets, info.name))) for info in secrets.store.list()]


def delete_secret(secrets: StackSecrets, name: str) -> None:
    """Delete a secret that no installed process uses; raises UsageError for one that is used, or is not there."""
    if users := _users(secrets, name):
        raise UsageError(
            f"cannot delete the secret {name!r}: {', '.join(users)} would not start without it",
            hint="take it out of the definition first, and generate",
        )
    if not secrets.store.delete(name):
        raise _no_such_secret(secrets, name)
    _record("delete", name, secrets)


def rotate_secret(secrets: StackSecrets, name: str, value: bytes | None = None) -> JobOutcome:
    """Set a secret to `value`, or to a random one, and restart the running services that use it, in start order."""
    if secrets.store.get(name) is None:
        raise _no_such_secret(secrets, name)
    secrets.store.set(name, random_value() if value is None else check_value(value))
    _record("rotate", name, secrets)
    services = services_with(secrets, name)
    # One after another: a server has the new value before its clients do.
    steps = [Step("restart", (service,), "a secret of its is new") for service in services]
    if services and secrets.policy:
        steps = [*_steps_to_reopen(secrets.policy, is_user=secrets.is_user), *steps]
    failed = run_steps(steps, is_user=secrets.is_user, reset=True) if steps else []
    return outcome(services, failed, [secrets.policy] if secrets.policy else [], is_user=secrets.is_user)


def import_secrets(secrets: StackSecrets, file: Path, text: str) -> list[str]:
    """Set every secret of `text`, lines of NAME=VALUE of `file`; return their names.

    DefinitionError, and none is set, when a line cannot be read.
    """
    from omnitron.importers import dotenv

    variables, problems = dotenv.foreman(file, text)
    if problems:
        message = "cannot read this line: it is not NAME=VALUE"
        raise DefinitionError(replace(problem, message=message) for problem in problems)
    values = {check_name(item.name): check_value((item.value or "").encode()) for item in variables}
    for name, value in values.items():
        secrets.store.set(name, value)
    _record("import", ", ".join(values), secrets)
    return list(values)


def _record(act: str, names: str, secrets: StackSecrets) -> None:
    audit.record(f"secret {act} {names} of {secrets.stack}, {audit.defined_by(secrets.definition)}")


def _no_such_secret(secrets: StackSecrets, name: str) -> UsageError:
    """Return the error for a secret that is not there."""
    names = ", ".join(info.name for info in secrets.store.list()) or "none"
    return UsageError(
        f"cannot find the secret {name!r} of {secrets.stack}: there is {names}",
        hint=f"omnitron secret set {name} makes it",
    )


def services_with(secrets: StackSecrets, name: str) -> list[str]:
    """Return the running services that were started with a secret, in the order in which their apps start."""
    policy = secrets.policy
    if policy is None:
        return []
    selections = [Selection(policy, app, None, None) for app in policy.apps]
    addresses = {unit: policy.address_of(unit) for unit in running(selections, is_user=secrets.is_user)}
    return [
        service
        for app in policy.apps
        for process in app.processes
        if name in process.secrets
        for service, address in sorted(addresses.items())
        if address and address.app == app.name and address.process in (None, process.name)
    ]


def _users(secrets: StackSecrets, name: str) -> list[str]:
    apps = secrets.policy.apps if secrets.policy else ()
    return [
        app.name if len(app.processes) == 1 else f"{app.name}:{process.name}"
        for app in apps
        for process in app.processes
        if name in process.secrets
    ]


def _steps_to_reopen(policy: StackPolicy, *, is_user: bool) -> list[Step]:
    """Return what has the sealed secrets of a running stack opened anew."""
    return [Step("reload", (policy.opener,), "a secret is new")] if is_user else []
