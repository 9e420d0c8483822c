"""Options that verbs share, and the scope, definition and plan that they name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omnitron.errors import UsageError

if TYPE_CHECKING:
    from omnitron.definition.project import Ecosystem
    from omnitron.install.scope import Scope
    from omnitron.planner.plan import Plan


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
    from omnitron.definition.loader import load
    from omnitron.definition.lookup import find

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
    """Return whether OMNITRON_SCOPE=user makes a user's own manager the default."""
    return os.environ.get("OMNITRON_SCOPE") == "user"


def make_plan(
    scope: Scope, systemd_version: int | None = None, stacks: list[str] | None = None, *, installs: bool = False
) -> Plan:
    """Read the definition and return the plan of the chosen stacks (all when None or empty).

    With `installs` it is checked against what an installation needs of the host: its secrets, and its ports.
    """
    from omnitron.operations import planning

    return planning.make_plan(load_ecosystem(), scope, stacks or (), systemd_version=systemd_version, installs=installs)
