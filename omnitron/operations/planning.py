"""The plan of a definition on this host: facts collected first, then the planner."""

from __future__ import annotations

import os
from collections.abc import Sequence

from omnitron.definition.project import Ecosystem
from omnitron.errors import SystemdUnreachableError
from omnitron.install.scope import Scope
from omnitron.operations.host_facts.gather import gather
from omnitron.operations.installed import check_stack
from omnitron.planner import plan
from omnitron.systemd import local
from omnitron.version import OLDEST_SYSTEMD

PRODUCTION = "production"


def make_plan(
    ecosystem: Ecosystem,
    scope: Scope,
    stacks: Sequence[str] = (),
    *,
    systemd_version: int | None = None,
    installs: bool = False,
) -> plan.Plan:
    """Return the plan of the named stacks, of all without a name; raises UsageError and DefinitionError.

    With `installs` it is checked against what an installation needs of the host: its secrets, and its ports.
    `systemd_version` is that of this host if None.
    """
    for name in stacks:
        check_stack(name, list(ecosystem.config.stacks))
    names = list(stacks) or None
    facts = gather(scope, systemd_version, ecosystem, names, installs=installs, development=in_development())
    return plan.make_plan(ecosystem, facts, names)


def in_development() -> bool:
    """Return whether OMNITRON_ENV asks for the `dev` blocks; a host on which it is not set is in production."""
    return os.environ.get("OMNITRON_ENV", PRODUCTION) not in ("", PRODUCTION)


def version_or_oldest() -> int:
    """Return the version of systemd here, or the oldest that will do where there is none."""
    try:
        return max(local.version(), OLDEST_SYSTEMD)
    except SystemdUnreachableError:
        return OLDEST_SYSTEMD
