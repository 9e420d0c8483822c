"""What every verb shares: the options about where and what, the facts of the host, and the plan."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from omnitron import names
from omnitron.errors import NotPermittedError, SystemdUnreachableError, UsageError
from omnitron.version import OLDEST_SYSTEMD

if TYPE_CHECKING:
    from collections.abc import Callable

    from omnitron.definition.project import Ecosystem
    from omnitron.install.scope import Scope
    from omnitron.planner.facts import HostFacts, Identity, SecretPlaces, Taken
    from omnitron.planner.plan import Plan
    from omnitron.secrets.store import SecretStore

OLDEST, NEWEST = OLDEST_SYSTEMD, 999
PRODUCTION = "production"
STABLE_PYTHON = Path("/usr/bin/python3")
PACKAGED_WATCHER = Path("/usr/lib/systemd/system/omnitron-watcher.service")


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
    # 126 ms, mostly pydantic: most verbs read no definition.
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
    """Whether OMNITRON_SCOPE=user makes a user's own manager the default."""
    return os.environ.get("OMNITRON_SCOPE") == "user"


def in_development() -> bool:
    """Whether OMNITRON_ENV asks for the `dev` blocks; a host on which nobody has set it is in production."""
    return os.environ.get("OMNITRON_ENV", PRODUCTION) not in ("", PRODUCTION)


def host_facts(scope: Scope, systemd_version: int | None, ecosystem: Ecosystem | None = None) -> HostFacts:
    """Return the facts that the planner needs, found here unless they are given.

    With `ecosystem` also what it takes to install it: which secrets there are, and which ports are taken.
    """
    from omnitron.operations.host_facts import servers
    from omnitron.planner.facts import HostFacts
    from omnitron.systemd import local

    if systemd_version is not None and not OLDEST <= systemd_version <= NEWEST:
        raise UsageError(f"cannot write units for systemd {systemd_version}: the oldest that will do is {OLDEST}")
    helpers = Path(__file__).parents[1] / "supervision/helpers"
    python = STABLE_PYTHON if STABLE_PYTHON.exists() else Path(sys.executable)
    specs = replace(scope, root=None).policies
    return HostFacts(
        systemd_version=systemd_version or local.version(),
        scope=scope.name,
        helpers=helpers,
        helper_python=python,
        accounts=_accounts(scope),
        identity=_identity if scope.is_live else None,
        reaches=_reaches if scope.is_live and os.geteuid() == 0 else None,
        distribution=local.packaged_units() - {names.WATCHER}
        if scope.is_live and scope.name == "system"
        else frozenset(),
        host_python=Path(sys.executable),
        development=in_development(),
        has_packaged_watcher=scope.is_live and scope.name == "system" and PACKAGED_WATCHER.exists(),
        specs=specs,
        helpers_owner=_other_owner(helpers),
        secrets=_secrets(scope, ecosystem),
        taken=_taken(scope, checks=ecosystem is not None),
        programs=servers.programs() if scope.is_live else None,
        refusal=servers.refusal if scope.is_live and ecosystem is not None else None,
    )


def _secrets(scope: Scope, ecosystem: Ecosystem | None) -> SecretPlaces:
    """Return where secrets are, and those of the stacks that are to be installed."""
    from omnitron.planner.facts import SecretPlaces
    from omnitron.secrets.from_environment import Known

    sealed = scope.name == "user"
    known: Callable[[str], Known | None] | None = None
    if ecosystem and scope.is_live:
        project = ecosystem.config.project

        def known(stem: str) -> Known | None:
            try:
                return Known(frozenset(kept.name for kept in secret_store(scope, stem, project).list()))
            except NotPermittedError:
                return None  # whoever may not look is not told that they are missing

    given = passphrase_file() if sealed else None
    return SecretPlaces(replace(scope, root=None).secrets, sealed, known, given)


def passphrase_file() -> Path | None:
    """Return the file with the passphrase of sealed secrets, where the environment names one."""
    from omnitron.secrets.store import PASSPHRASE_FILE

    given = os.environ.get(PASSPHRASE_FILE)
    return Path(given).absolute() if given else None


def secret_store(scope: Scope, stem: str, project: str) -> SecretStore:
    """Return the secrets of a stack of a project: `stem` is `omnitron-dev`."""
    if scope.name == "user":
        from omnitron.secrets.sealed_store import SealedStore

        return SealedStore(scope.secrets / f"{stem}.sealed", passphrase_file())
    from omnitron.secrets.credential_store import CredentialStore

    return CredentialStore(scope.secrets / stem, project)


def _taken(scope: Scope, *, checks: bool) -> Taken:
    from omnitron.operations.host_facts import servers
    from omnitron.planner.facts import Taken
    from omnitron.policy.store import read_policies

    if not scope.is_live:
        return Taken()
    # One that is damaged is written anew, and remembers nothing.
    installed = read_policies([scope.policies, replace(scope, runtime=not scope.runtime).policies], lambda _: None)
    ports = {policy.stem: policy.ports for policy in installed if policy.ports}
    numbers = {policy.stem: policy.redis_numbers for policy in installed if policy.redis_numbers}
    providers = {policy.stem: {one.name: one.provider for one in policy.infra} for policy in installed}
    return Taken(ports, numbers, providers, servers.listening() if checks else frozenset())


def version_or_oldest() -> int:
    """Return the version of systemd here, or the oldest that will do where there is none."""
    from omnitron.systemd import local

    try:
        return max(local.version(), OLDEST)
    except SystemdUnreachableError:
        return OLDEST


def _other_owner(folder: Path) -> str | None:
    """Return the first user other than root who owns `folder`, what is in it, or a folder above it."""
    for path in (*folder.glob("*.sh"), folder, *folder.parents):
        if path.stat().st_uid != 0:
            return _name_of(path.stat().st_uid)
    return None


def _name_of(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _accounts(scope: Scope) -> frozenset[str] | None:
    if not scope.is_live:
        return None
    import pwd

    return frozenset(entry.pw_name for entry in pwd.getpwall())


def _identity(uid: int) -> Identity:
    """Return who a user is; one without an account is only a number."""
    import grp
    import pwd

    from omnitron.planner.facts import Identity

    try:
        account = pwd.getpwuid(uid)
    except KeyError:
        return Identity(f"uid {uid}", frozenset({str(uid)}), frozenset())
    groups = {str(gid) for gid in os.getgrouplist(account.pw_name, account.pw_gid)}
    groups |= {entry.gr_name for entry in grp.getgrall() if str(entry.gr_gid) in groups}
    return Identity(account.pw_name, frozenset({account.pw_name, str(uid)}), frozenset(groups))


def _reaches(uid: int, path: Path) -> bool:
    """Whether a user can get to `path`, or to what there is of it; asked as that user, for whatever is in the way."""
    import pwd
    import subprocess

    present = next(one for one in (path, *path.parents) if os.path.lexists(one))
    try:
        account = pwd.getpwuid(uid)
        groups = os.getgrouplist(account.pw_name, account.pw_gid)
        asked = ["/usr/bin/test", "-L", str(present), "-o", "-e", str(present)]
        done = subprocess.run(asked, user=uid, group=account.pw_gid, extra_groups=groups, cwd="/", env={})
    except (KeyError, OSError, ValueError):
        return False
    return done.returncode == 0


def make_plan(
    scope: Scope, systemd_version: int | None = None, stacks: list[str] | None = None, *, installs: bool = False
) -> Plan:
    """Read the definition and return the plan of the chosen stacks (all when None or empty).

    For one that is to be installed, what it needs of the host is looked at too: its secrets, and its ports.
    """
    from omnitron.planner.plan import make_plan as plan  # 175 ms, and most verbs do without

    ecosystem = load_ecosystem()
    for name in stacks or []:
        check_stack(name, list(ecosystem.config.stacks))
    return plan(ecosystem, host_facts(scope, systemd_version, ecosystem if installs else None), stacks or None)


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
