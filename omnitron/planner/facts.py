"""Facts about the host that the units are for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from omnitron.infra.services import Kind

HELPER_STARTER = "run.py"
RESTART_MODE = 254
"""First version with `RestartMode=`."""


Module = tuple[str, tuple[Path, ...]]
"""A process's `module`, and the folders in which it is looked for."""
ServerSettings = tuple[Kind, tuple[tuple[str, str], ...]]
"""Settings of a server, by its kind and their names."""


@dataclass(frozen=True)
class PathFact:
    """The kind and the owner of the file at a path; symbolic links are followed."""

    kind: Literal["file", "folder", "other", "none", "hidden"]
    """`none` where there is nothing, `hidden` where permissions do not show it."""
    owner: int = 0
    """Its uid."""


@dataclass(frozen=True)
class VirtualEnvironment:
    """A virtual environment of Python."""

    prefix: Path
    """Folder of the installation that its interpreter belongs to."""
    has_omnitron: bool
    """True if omnitron is installed in it."""


ScopeName = Literal["system", "user"]


@dataclass(frozen=True)
class SecretPlaces:
    """The stores of the stacks' secrets, and the names in them."""

    folder: Path = Path("/etc/omnitron/secrets")
    sealed: bool = False
    """True if they are in a sealed file of ours, opened below `%t` when the stack starts; else systemd's own."""
    names: Mapping[str, frozenset[str] | None] = field(default_factory=dict)
    """Names of the stored secrets by stem of the stack; None, or no entry, where they are not known."""
    variables: frozenset[str] = frozenset()
    """Environment variables that provide secrets beside the stored ones."""
    passphrase: Path | None = None
    """File with the passphrase of a sealed file, None where that has a key of its own."""


@dataclass(frozen=True)
class Assignments:
    """Assignments of installed stacks, and the TCP ports that are in use on the host.

    Nobody is asked for a plan that only looks at the definition.
    """

    ports: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Ports that stacks were given before, by stem and `service.port`."""
    numbers: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Redis databases that stacks were given before, by stem and `app/purpose`."""
    providers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Providers of the services of installed stacks, by stem and service."""
    listening: frozenset[int] = frozenset()
    """Ports that somebody listens on."""


@dataclass(frozen=True)
class HostFacts:
    """The target of a plan: facts, found on this host or given for another."""

    systemd_version: int
    """Major version: 252."""
    scope: ScopeName
    """The manager that runs the units: the system's or a user's."""
    helpers: Path
    """Folder of the helpers that systemd runs (`omnitron/supervision/helpers`)."""
    helper_python: Path
    """Interpreter for them; any Python 3 with its standard library will do."""
    accounts: frozenset[str] | None = None
    """Users of the target, None when they are not known (another host)."""
    paths: Mapping[Path, PathFact] = field(default_factory=dict)
    """The files at the paths that the definition names."""
    environments: Mapping[Path, VirtualEnvironment] = field(default_factory=dict)
    """The virtual environments of apps, by the path of their interpreter."""
    modules: Mapping[Module, frozenset[str] | None] = field(default_factory=dict)
    """Names of the services that modules declare; None, or no entry, where their text does not say."""
    distribution: frozenset[str] = frozenset()
    """Names of the unit files that packages have brought to the target, ours excepted."""
    host_python: Path = Path("/usr/bin/python3")
    """Interpreter that has omnitron, for the process host of apps without a virtual environment of their own."""
    host_python_prefix: Path = Path("/usr")
    """Folder of the installation that this interpreter belongs to."""
    development: bool = False
    """True if `dev` blocks are applied."""
    specs: Path = Path("/etc/omnitron")
    """Folder of the compiled policies, where what a process host reads is kept too."""
    has_packaged_watcher: bool = False
    """True if the distribution's package has brought the watcher's unit."""
    helpers_owner: str | None = None
    """User other than root who could change the helpers; None without one."""
    secrets: SecretPlaces = SecretPlaces()
    """The stores of secrets."""
    assignments: Assignments = Assignments()
    """Assignments that exist already."""
    programs: frozenset[str] | None = None
    """Servers that the host has (`postgres`, `redis-server`, `docker`), None when they are not known."""
    refusals: Mapping[ServerSettings, str | None] = field(default_factory=dict)
    """Errors of the host's servers about settings, by these; None where they accept them."""

    def helper(self, name: str) -> tuple[str, ...]:
        """Return the command of a helper that is written in Python; its arguments follow."""
        return (str(self.helper_python), "-I", "-S", str(self.helpers / HELPER_STARTER), name)

    def path(self, path: Path) -> PathFact:
        """Return the kind and owner of the file at `path`."""
        return self.paths.get(path, PathFact("none"))

    @property
    def own_folders(self) -> tuple[Path, Path]:
        """The folders of the interpreter that has omnitron: its environment, and the installation behind it."""
        # Not resolved: a virtual environment is known by the path of its interpreter.
        return self.host_python.parent.parent, self.host_python_prefix

    @property
    def package_folder(self) -> Path:
        """Folder that holds the package `omnitron`."""
        return self.helpers.parents[2]

    @property
    def is_user(self) -> bool:
        """Return whether the units are for a user's own manager."""
        return self.scope == "user"

    def has(self, version: int) -> bool:
        """Return whether the target has what came with systemd `version`."""
        return self.systemd_version >= version
