"""Installed stacks: read, selected by an address, and reported on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from omnitron.errors import OmnitronError, UsageError
from omnitron.install.scope import Scope
from omnitron.policy.addresses import nothing_installed, resolve
from omnitron.policy.model import INFRA, InstalledPolicy, Selection, StackPolicy
from omnitron.policy.store import read_policies

if TYPE_CHECKING:
    from omnitron.observe.report import StackReport
    from omnitron.systemd.journal import Entry

TAIL_LINES = 20


def scopes(is_user: bool) -> list[Scope]:
    """Return the places where stacks of one manager can be installed: for good, and until reboot."""
    name = "user" if is_user else "system"
    return [Scope(name, runtime=False), Scope(name, runtime=True)]  # type: ignore[arg-type]


def records_folder(is_user: bool) -> Path:
    """Return the folder of crash records and of the watcher's socket."""
    return scopes(is_user)[0].records


def check_stack(name: str, names: Sequence[str]) -> None:
    """Raise UsageError when there is no such stack."""
    if name not in names:
        raise UsageError(f"cannot find the stack {name!r}: there is {', '.join(names) or 'none'}")


def select_stack(name: str | None, names: Sequence[str]) -> str:
    """Return the named stack, or the only one there is; raises UsageError."""
    if name is not None:
        check_stack(name, names)
        return name
    if len(names) != 1:
        raise UsageError(f"cannot choose a stack: name one of {', '.join(names) or 'none'}")
    return names[0]


def stacks(*, is_user: bool, name: str | None = None) -> list[InstalledPolicy]:
    """Return the installed stacks, all or those of one name; raises UsageError when there is none."""
    policies = read_policies([scope.policies for scope in scopes(is_user)])
    if not policies:
        if _is_sandbox_up():
            hint = "the sandbox is up: `omnitron sandbox shell` steps into it, `omnitron sandbox down` ends it"
            raise nothing_installed(hint)
        raise nothing_installed()
    if name is not None:
        check_stack(name, list(dict.fromkeys(policy.stack for policy in policies)))
    return [policy for policy in policies if name in (None, policy.stack)]


def _is_sandbox_up() -> bool:
    from omnitron.sandbox import Sandbox  # 45 ms, for this message alone

    # Only root may look.
    with suppress(OSError, OmnitronError):
        return Sandbox().status().running
    return False


def one_stack(name: str | None, *, is_user: bool, folder: Path, config: Path | None = None) -> InstalledPolicy:
    """Return the installed stack that `name` means, or the only one.

    Projects whose definition lies in `folder` or above it come first. In the folder of a definition that is not
    installed (`config`, or found from there upwards), UsageError: no other project is meant.
    """
    policies = stacks(is_user=is_user, name=name)
    near = [policy for policy in policies if policy.source.parent in (folder, *folder.parents)]
    if not near:
        _refuse_others(policies, folder, config)
    candidates = near or policies
    if len(candidates) != 1:
        names = ", ".join(f"{policy.stack} of {policy.source}" for policy in candidates)
        raise UsageError(f"cannot choose a stack: there is {names}", hint="name one, in the folder of its definition")
    return candidates[0]


def _refuse_others(policies: Iterable[StackPolicy], folder: Path, config: Path | None) -> None:
    """Raise UsageError in the folder of a definition that is not installed."""
    from omnitron.definition.lookup import NoDefinitionError, find

    try:
        own = find(config, folder)
    except NoDefinitionError:
        return
    names = list(dict.fromkeys(f"{policy.stack} of {policy.source}" for policy in policies))
    if not any(policy.source.parent in (folder, *folder.parents) for policy in policies):
        raise UsageError(
            f"cannot choose a stack: {own} is not installed; there is {', '.join(names)}",
            hint="`omnitron generate` installs it; for the others, go to their folders",
        )


def select(text: str | None, *, is_user: bool, folder: Path, config: Path | None = None) -> list[Selection]:
    """Return what an address means; for None, every enabled app of the only stack but its servers."""
    if text is not None:
        policies = stacks(is_user=is_user)
        _refuse_others(policies, folder, config)
        return resolve(text, policies, folder)
    policy = one_stack(None, is_user=is_user, folder=folder, config=config)
    return [Selection(policy, app, None, None) for app in policy.apps if app.enabled and app.mode != INFRA]


def reports(policies: Iterable[StackPolicy], *, is_user: bool, listens: bool = False) -> list[StackReport]:
    """Return the present state of stacks; with `listens`, what process hosts report of themselves too."""
    from omnitron.observe.report import report_stack
    from omnitron.observe.snapshot import take

    policies = list(policies)
    readings = take(policies, is_user=is_user, records=records_folder(is_user), listens=listens)
    return [report_stack(policy, readings) for policy in policies]


def running(selections: Iterable[Selection], *, is_user: bool) -> set[str]:
    """Return the services that run in the stacks of these selections."""
    policies = {selection.stack.target: selection.stack for selection in selections}
    services = (
        service
        for report in reports(policies.values(), is_user=is_user)
        for app in report.apps
        for service in app.services
    )
    return {service.unit for service in services if service.status in ("online", "starting")}


def surplus(selections: Iterable[Selection], *, is_user: bool) -> list[str]:
    """Return the instances that run beyond those of the definition: `scale` has added them."""
    units: list[str] = []
    for selection in selections:
        if selection.instance is not None:
            continue
        (report,) = reports([selection.stack], is_user=is_user)
        units += [
            service.unit
            for app in report.apps
            if app.policy == selection.app
            for process in app.processes
            if selection.process in (None, process.policy)
            for service in process.services
            if service.unit not in process.policy.services
        ]
    return units


def last_lines(unit: str, stack: StackPolicy, *, is_user: bool) -> list[Entry]:
    """Return the last lines of a service in the journal; none where it may not be read."""
    from omnitron.systemd.journal import Query, read

    namespaces = (stack.log_namespace,) if stack.log_namespace else ()
    try:
        return list(read(Query((unit,), is_user, namespaces, lines=TAIL_LINES)))
    except OmnitronError:
        return []
