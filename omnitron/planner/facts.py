"""What the planner must know about the host that the units are for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from omnitron.infra.services import Kind

HELPER_STARTER = "run.py"
RESTART_MODE = 254
"""First version with `RestartMode=`."""


class Known(Protocol):
    """Tells whether there is a secret."""

    def __contains__(self, name: str, /) -> bool:
        """Whether there is one of that name."""


@dataclass(frozen=True)
class Identity:
    """Who a user of the target is: what may stand for the user, and for the user's groups; names and numbers."""

    name: str
    users: frozenset[str]
    groups: frozenset[str]


ScopeName = Literal["system", "user"]


@dataclass(frozen=True)
class SecretPlaces:
    """Where the secrets of stacks are kept, and which there are."""

    folder: Path = Path("/etc/omnitron/secrets")
    sealed: bool = False
    """Whether they are in a sealed file of ours, opened below `%t` when the stack starts; else systemd's own."""
    known: Callable[[str], Known | None] | None = None
    """Tells the names of those that are there, by stem of the stack; None, itself or its answer, when not known."""
    passphrase: Path | None = None
    """File with the passphrase of a sealed file, None where that has a key of its own."""


@dataclass(frozen=True)
class Taken:
    """What stacks were given before, and which TCP ports are taken on the host.

    Nobody is asked for a plan that only looks at the definition.
    """

    ports: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Ports that stacks were given before, by stem and `service.port`."""
    numbers: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Redis databases that stacks were given before, by stem and `app/purpose`."""
    providers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Who runs the services of stacks that are installed, by stem and service."""
    listening: frozenset[int] = frozenset()
    """Ports that somebody listens on."""


@dataclass(frozen=True)
class HostFacts:
    """The target of a plan: facts, found on this host or given for another."""

    systemd_version: int
    """Major version: 252."""
    scope: ScopeName
    """Whose manager runs the units."""
    helpers: Path
    """Folder of the helpers that systemd runs (`omnitron/supervision/helpers`)."""
    helper_python: Path
    """Interpreter for them; any Python 3 with its standard library will do."""
    accounts: frozenset[str] | None = None
    """Users of the target, None when they are not known (another host)."""
    identity: Callable[[int], Identity] | None = None
    """Who a uid is, None when that is not known (another host)."""
    reaches: Callable[[int, Path], bool] | None = None
    """Whether a user can get to a path, None when that is not known (another host)."""
    distribution: frozenset[str] = frozenset()
    """Names of the unit files that packages have brought to the target, ours excepted."""
    host_python: Path = Path("/usr/bin/python3")
    """Interpreter that has omnitron, for the process host of apps without a virtual environment of their own."""
    development: bool = False
    """Whether `dev` blocks are applied."""
    specs: Path = Path("/etc/omnitron")
    """Folder of the compiled policies, where what a process host reads is kept too."""
    has_packaged_watcher: bool = False
    """Whether the distribution's package has brought the watcher's unit."""
    helpers_owner: str | None = None
    """Who, other than root, could change the helpers; None when nobody can."""
    secrets: SecretPlaces = SecretPlaces()
    """Where secrets are."""
    taken: Taken = Taken()
    """What is given out already."""
    programs: frozenset[str] | None = None
    """Servers that the host has (`postgres`, `redis-server`, `docker`), None when they are not known."""
    refusal: Callable[[Kind, Mapping[str, str]], str | None] | None = None
    """Says what a server of the host's has against settings; None where there is nobody to ask."""

    def helper(self, name: str) -> tuple[str, ...]:
        """Return the command of a helper that is written in Python; its arguments follow."""
        return (str(self.helper_python), "-I", "-S", str(self.helpers / HELPER_STARTER), name)

    @property
    def package_folder(self) -> Path:
        """Folder that holds the package `omnitron`."""
        return self.helpers.parents[2]

    @property
    def is_user(self) -> bool:
        """Whether the units are for a user's own manager."""
        return self.scope == "user"

    def has(self, version: int) -> bool:
        """Whether the target has what came with systemd `version`."""
        return self.systemd_version >= version
