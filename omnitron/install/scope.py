"""The folders of installed files: for the system or a user, permanent or until reboot, on this host or below a root."""

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
    """One set of folders to install to. A `root` is the file tree of another host: no bus is used then."""

    name: ScopeName = "system"
    runtime: bool = False
    """Use folders below /run, which a reboot empties."""
    root: Path | None = None

    @property
    def is_live(self) -> bool:
        """True if a service manager of this host reads these folders."""
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
        """Folder of manifests, journals and the lock. Its leading dot keeps it apart from the names of stacks."""
        if self.name == "user":
            return (_runtime() if self.runtime else _state()) / "omnitron/.installed"
        return self._below("/run/omnitron/.installed" if self.runtime else "/var/lib/omnitron/.installed")

    @property
    def secrets(self) -> Path:
        """Folder of secrets. It is permanent even if the units are not."""
        return (_config() if self.name == "user" else self._below("/etc")) / "omnitron/secrets"

    @property
    def folders(self) -> set[Path]:
        """Every folder that has, or could have, a file of omnitron."""
        folders = {self.units, self.policies, self.state, *self.units.parent.glob("journald@*.conf.d")}
        return folders if self.name == "user" else folders | {self._bus, self._sysusers}

    def owns(self, path: Path) -> bool:
        """Return whether a manifest or journal may name `path`: it is in a folder for files of omnitron.

        For a user every path is allowed: users have no more rights here than elsewhere, and the location of their
        folders depends on their environment.
        """
        if self.name == "user":
            return True
        if str(path) != os.path.normpath(path):
            return False
        of_journal = path.parent.parent == self.units.parent and NAMESPACE.fullmatch(path.parent.name)
        return path.parent in self.folders or path.is_relative_to(self.policies) or bool(of_journal)

    def stored(self, path: Path) -> str:
        """Return the path as manifests and journals store it: without `root`."""
        return f"/{path.relative_to(self.root)}" if self.root and path.is_relative_to(self.root) else str(path)

    def resolved(self, name: str) -> Path:
        """Return the path here for a stored one; old manifests have stored it with `root`."""
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
        """Return whether `file` can be installed: dbus reads no folder below /run."""
        if file.place not in ("bus", "sysusers"):
            return True
        return self.name == "system" and not (file.place == "bus" and self.runtime)

    def path(self, file: File) -> Path:
        """Return the path to install `file` to."""
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
        """Folder of crash records: `%t/omnitron` in units."""
        return (_runtime() if self.name == "user" else Path("/run")) / "omnitron"


def _config() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")


def _state() -> Path:
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state")


def _runtime() -> Path:
    return Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")
