"""Shared by the verbs that act on what is installed: which scope, which stacks, which units."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from omnitron.cli.context import check_stack, default_user, options
from omnitron.errors import OmnitronError, UsageError

if TYPE_CHECKING:
    from omnitron.install.scope import Scope
    from omnitron.observe.report import StackReport
    from omnitron.policy.model import InstalledPolicy, Selection, StackPolicy
    from omnitron.systemd.journal import Entry

TAIL_LINES = 20


def is_user_scope(user: bool) -> bool:
    """Whether the user's own manager is meant."""
    return user or default_user()


def scopes(is_user: bool) -> list[Scope]:
    """Return the places where stacks of one manager can be installed: for good, and until reboot."""
    from omnitron.install.scope import Scope

    name = "user" if is_user else "system"
    return [Scope(name, runtime=False), Scope(name, runtime=True)]  # type: ignore[arg-type]


def installed(*, is_user: bool, stack: str | None = None) -> list[InstalledPolicy]:
    """Return the installed stacks, all or those of one name; raises when there is none."""
    from omnitron.policy.addresses import nothing_installed
    from omnitron.policy.store import read_policies

    found = read_policies([scope.policies for scope in scopes(is_user)])
    if not found:
        raise nothing_installed()
    if stack is not None:
        check_stack(stack, list(dict.fromkeys(policy.stack for policy in found)))
    return [policy for policy in found if stack in (None, policy.stack)]


def one_installed(stack: str | None, *, is_user: bool) -> InstalledPolicy:
    """Return the one installed stack that is meant; the projects of this folder come before all others."""
    here = Path.cwd()
    found = installed(is_user=is_user, stack=stack)
    near = [policy for policy in found if policy.source.parent in (here, *here.parents)]
    if not near:
        _refuse_others(found)
    candidates = near or found
    if len(candidates) != 1:
        names = ", ".join(f"{policy.stack} of {policy.source}" for policy in candidates)
        raise UsageError(f"cannot choose a stack: there is {names}", hint="name one, in the folder of its definition")
    return candidates[0]


def _refuse_others(policies: Iterable[StackPolicy]) -> None:
    """Raise UsageError in the folder of a definition that is not installed: it is no other stack that is meant."""
    from omnitron.definition.loader import NoDefinitionError, find

    here = Path.cwd()
    try:
        own = find(options.config, here)
    except NoDefinitionError:
        return
    names = list(dict.fromkeys(f"{policy.stack} of {policy.source}" for policy in policies))
    if not any(policy.source.parent in (here, *here.parents) for policy in policies):
        raise UsageError(
            f"cannot choose a stack: {own} is not installed; there is {', '.join(names)}",
            hint="`omnitron generate` installs it; for the others, go to their folders",
        )


def targets(text: str | None, *, is_user: bool) -> list[Selection]:
    """Return what an address means; without one, every enabled app of the only stack, but for its servers."""
    from omnitron.policy.addresses import resolve
    from omnitron.policy.model import INFRA, Selection

    if text is not None:
        policies = installed(is_user=is_user)
        _refuse_others(policies)
        return resolve(text, policies, Path.cwd())
    policy = one_installed(None, is_user=is_user)
    return [Selection(policy, app, None, None) for app in policy.apps if app.enabled and app.mode != INFRA]


def surplus(wanted: Iterable[Selection], *, is_user: bool) -> list[str]:
    """Return the instances that run beyond those of the definition: `scale` has added them."""
    units: list[str] = []
    for one in wanted:
        (report,) = reports([one.stack], is_user=is_user)
        services = [
            s
            for app in report.apps
            if app.policy == one.app
            for p in app.processes
            for s in p.services
            if one.process in (None, p.policy) and s.unit not in p.policy.services
        ]
        units += [service.unit for service in services if one.instance is None]
    return units


def reports(policies: Iterable[StackPolicy], *, is_user: bool, listens: bool = False) -> list[StackReport]:
    """Read the present state of the stacks; with `listens`, what process hosts say of themselves too."""
    from omnitron.observe.report import report_stack
    from omnitron.observe.snapshot import take

    policies = list(policies)
    readings = take(policies, is_user=is_user, records=scopes(is_user)[0].records, listens=listens)
    return [report_stack(policy, readings) for policy in policies]


def last_words(unit: str, stack: StackPolicy, *, is_user: bool) -> list[Entry]:
    """Return the last lines that the journal has of a service; none where it may not be read."""
    from omnitron.systemd.journal import Query, read

    namespaces = (stack.log_namespace,) if stack.log_namespace else ()
    try:
        return list(read(Query((unit,), is_user, namespaces, lines=TAIL_LINES)))
    except OmnitronError:
        return []
