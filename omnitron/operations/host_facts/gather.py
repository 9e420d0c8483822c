"""Collects the facts about this host that a plan is made from."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from omnitron import names
from omnitron.authority import files
from omnitron.definition.project import Ecosystem
from omnitron.errors import UsageError
from omnitron.install.scope import Scope
from omnitron.operations.host_facts import accounts, modules, paths, ports, python, secrets, servers
from omnitron.planner import questions
from omnitron.planner.facts import HostFacts
from omnitron.systemd import local
from omnitron.version import OLDEST_SYSTEMD

NEWEST_SYSTEMD = 999
HELPERS = Path(__file__).parents[2] / "supervision/helpers"


def gather(
    scope: Scope,
    systemd_version: int | None,
    ecosystem: Ecosystem,
    stacks: Sequence[str] | None = None,
    *,
    installs: bool,
    development: bool,
) -> HostFacts:
    """Return the facts that a plan of the chosen stacks, all when None, is made from.

    With `installs` also what it takes to install them: their secrets, and the ports that are free.
    """
    facts = with_files(ecosystem, of_host(scope, systemd_version, installs=installs, development=development), stacks)
    if not scope.is_live:
        return facts
    about_host = questions.of_host(ecosystem, facts, stacks, installs=installs)
    for path in sorted(about_host.read):
        files.check_tree(path)
    return replace(
        facts,
        secrets=replace(facts.secrets, names=secrets.stored(scope, about_host.secrets, ecosystem.config.project)),
        refusals=servers.refusals(about_host.settings),
    )


def of_host(scope: Scope, systemd_version: int | None, *, installs: bool, development: bool) -> HostFacts:
    """Return the facts that are the same for every definition."""
    if systemd_version is not None and not OLDEST_SYSTEMD <= systemd_version <= NEWEST_SYSTEMD:
        raise UsageError(
            f"cannot write units for systemd {systemd_version}: the oldest that will do is {OLDEST_SYSTEMD}"
        )
    host_python = Path(sys.executable)
    is_systems = scope.is_live and scope.name == "system"
    return HostFacts(
        systemd_version=systemd_version or local.version(),
        scope=scope.name,
        helpers=HELPERS,
        helper_python=python.helper_interpreter(),
        accounts=accounts.account_names() if scope.is_live else None,
        distribution=local.packaged_units() - {names.WATCHER} if is_systems else frozenset(),
        host_python=host_python,
        host_python_prefix=python.prefix_of(host_python),
        development=development,
        has_packaged_watcher=is_systems and local.PACKAGED_WATCHER.exists(),
        specs=replace(scope, root=None).policies,
        helpers_owner=accounts.other_owner(HELPERS),
        secrets=secrets.places(scope),
        assignments=ports.assignments(scope, checks=installs),
        programs=servers.programs() if scope.is_live else None,
    )


def with_files(ecosystem: Ecosystem, facts: HostFacts, stacks: Sequence[str] | None = None) -> HostFacts:
    """Return `facts` with those about the files that the chosen stacks of a definition name."""
    about_files = questions.of_definition(ecosystem, facts, stacks)
    return replace(
        facts,
        paths=paths.kinds(about_files.paths),
        environments=python.environments(about_files.interpreters),
        modules=modules.services(about_files.modules),
    )
