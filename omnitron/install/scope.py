"""Where files go: the system or a user's manager, for good or until reboot, on this host or below a folder."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omnitron.planner.facts import ScopeName
    from omnitron.render.files import File


NAMESPACE = re.compile(r"journald@.*\.conf\.d")


@dataclass(frozen=True)
class Scope:
    """One place to install to. `root` other than None means another host's tree: no bus is touched."""

    name: ScopeName = "system"
    runtime: bool = False
    """Under /run, gone at reboot."""
    root: Path | None = None

    @property
    def is_live(self) -> bool:
        """Whether a manager of this host reads these folders."""
        return self.root is None

    @property
    def units(self) -> Path:
        """Folder of unit files."""
        if self.name == "user":
            return (_runtime() if self.runtime else _config()) / "systemd/user"
        return self._below("/run/systemd/system" if self.runtime else "/etc/systemd/system")

    @property
    def policies(self) -> Path:
        """Folder of compiled policies."""
        if self.name == "user":
            return _runtime() / "omnitron/.policy" if self.runtime else _config() / "omnitron"
        return self._below("/run/omnitron/.policy" if self.runtime else "/etc/omnitron")

    @property
    def state(self) -> Path:
        """Folder of manifests, journals and the lock. Its name can be no stack's: those have no leading dot."""
        if self.name == "user":
            return (_runtime() if self.runtime else _state()) / "omnitron/.installed"
        return self._below("/run/omnitron/.installed" if self.runtime else "/var/lib/omnitron/.installed")

    @property
    def secrets(self) -> Path:
        """Folder of secrets: they outlive a reboot, wherever units go."""
        return (_config() if self.name == "user" else self._below("/etc")) / "omnitron/secrets"

    @property
    def folders(self) -> set[Path]:
        """Every folder that has, or could have, a file of ours."""
        found = {self.units, self.policies, self.state, *self.units.parent.glob("journald@*.conf.d")}
        return found if self.name == "user" else found | {self._bus, self._sysusers}

    def owns(self, path: Path) -> bool:
        """Whether `path` is a place of a file of ours, whatever a manifest or a journal says.

        A user can change no more through his own than he can anyway, and his folders move with his environment.
        """
        if self.name == "user":
            return True
        if str(path) != os.path.normpath(path):
            return False
        of_journal = path.parent.parent == self.units.parent and NAMESPACE.fullmatch(path.parent.name)
        return path.parent in self.folders or path.is_relative_to(self.policies) or bool(of_journal)

    def stored(self, path: Path) -> str:
        """Return the path as manifests and journals have it: that of the host which the tree is for."""
        return f"/{path.relative_to(self.root)}" if self.root and path.is_relative_to(self.root) else str(path)

    def placed(self, name: str) -> Path:
        """Return the path that is stored as `name`; older ones have the tree's own path in it."""
        if self.root and not name.startswith(f"{str(self.root).rstrip('/')}/"):
            return self._below(name)
        return Path(name)

    @property
    def _bus(self) -> Path:
        return self._below("/etc/dbus-1/system.d")

    @property
    def _sysusers(self) -> Path:
        return self._below("/run/sysusers.d" if self.runtime else "/etc/sysusers.d")

    def has_place(self, file: File) -> bool:
        """Whether `file` can be installed: the bus looks in no folder that a reboot empties."""
        if file.place not in ("bus", "sysusers"):
            return True
        return self.name == "system" and not (file.place == "bus" and self.runtime)

    def path(self, file: File) -> Path:
        """Return where `file` goes."""
        if file.place == "units":
            return self.units / file.name
        if file.place == "policy":
            return self.policies / file.name
        if file.place == "bus":
            return self._bus / file.name
        if file.place == "sysusers":
            return self._sysusers / file.name
        base = "/run/systemd" if self.runtime else "/etc/systemd"
        return self._below(f"{base}/journald@{file.name}.conf.d") / "omnitron.conf"

    def _below(self, path: str) -> Path:
        return self.root / path.lstrip("/") if self.root else Path(path)

    @property
    def records(self) -> Path:
        """Folder of crash records: `%t/omnitron` of the units."""
        return (_runtime() if self.name == "user" else Path("/run")) / "omnitron"


def _config() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")


def _state() -> Path:
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state")


def _runtime() -> Path:
    return Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")
