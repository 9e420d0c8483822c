"""What every verb shares: the options about where and what, the facts of the host, and the plan."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omnitron.errors import UsageError
from omnitron.operations.secret_stores import secret_store as secret_store

if TYPE_CHECKING:
    from omnitron.definition.loader import Ecosystem
    from omnitron.install.scope import Scope
    from omnitron.planner.facts import HostFacts
    from omnitron.planner.plan import Plan

OLDEST = 252
PRODUCTION = "production"


@dataclass
class Options:
    """The options in front of the verb."""

    config: Path | None = None
    json: bool = False
    debug: bool = False


options = Options()
"""Set once, by the command line."""


def load_ecosystem() -> Ecosystem:
    """Find and read the definition that the command line means."""
    from omnitron.definition.loader import find, load

    return load(find(options.config, Path.cwd()))


def make_scope(*, user: bool = False, runtime: bool = False, root: Path | None = None) -> Scope:
    """Return the scope that the options name."""
    from omnitron.install.scope import Scope

    if root is not None and (user or runtime):
        raise UsageError("cannot combine --root with --user or --runtime: it is another host's tree")
    if root is not None and str(root) in ("", "."):
        raise UsageError("cannot write below --root: it is empty; is a variable not set?")
    if root is not None:
        root = root.resolve()
    return Scope("user" if user or default_user() else "system", runtime, root)


def default_user() -> bool:
    """Whether OMNITRON_SCOPE=user makes a user's own manager the default."""
    return os.environ.get("OMNITRON_SCOPE") == "user"


def in_development() -> bool:
    """Whether OMNITRON_ENV asks for the `dev` blocks; a host on which nobody has set it is in production."""
    return os.environ.get("OMNITRON_ENV", PRODUCTION) not in ("", PRODUCTION)


def host_facts(
    scope: Scope,
    systemd_version: int | None,
    ecosystem: Ecosystem,
    stacks: list[str] | None = None,
    *,
    installs: bool = False,
) -> HostFacts:
    """Return the facts that a plan of the chosen stacks is made from; `installs`: it is to be installed."""
    from omnitron.operations.host_facts.gather import gather

    return gather(scope, systemd_version, ecosystem, stacks, installs=installs, development=in_development())


def version_or_oldest() -> int:
    """Return the version of systemd here, or the oldest that will do where there is none."""
    from omnitron.errors import SystemdUnreachableError
    from omnitron.systemd import local

    try:
        return max(local.version(), OLDEST)
    except SystemdUnreachableError:
        return OLDEST


def make_plan(
    scope: Scope, systemd_version: int | None = None, stacks: list[str] | None = None, *, installs: bool = False
) -> Plan:
    """Read the definition and return the plan of the chosen stacks (all when None or empty).

    For one that is to be installed, what it needs of the host is looked at too: its secrets, and its ports.
    """
    from omnitron.planner.plan import make_plan as plan

    ecosystem = load_ecosystem()
    for name in stacks or []:
        check_stack(name, list(ecosystem.config.stacks))
    chosen = stacks or None
    return plan(ecosystem, host_facts(scope, systemd_version, ecosystem, chosen, installs=installs), chosen)


def check_stack(name: str, known: list[str]) -> None:
    """Raise UsageError when there is no such stack."""
    if name not in known:
        raise UsageError(f"cannot find the stack {name!r}: there is {', '.join(known) or 'none'}")


def one_stack(name: str | None, known: list[str]) -> str:
    """Return the stack that is meant: the named one, or the only one."""
    if name is not None:
        check_stack(name, known)
        return name
    if len(known) != 1:
        raise UsageError(f"cannot choose a stack: name one of {', '.join(known) or 'none'}")
    return known[0]
