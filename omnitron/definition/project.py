"""A project: its ecosystem, and the apps of it, each with all that its entry refers to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from omnitron.definition.app import AppConfig, System
from omnitron.definition.ecosystem import AppEntry, EcosystemConfig, Gateway
from omnitron.definition.paths import absolute
from omnitron.definition.source import KeyPath, Source


@dataclass(frozen=True)
class App:
    """One app with what its entry refers to. All paths are absolute."""

    entry: AppEntry
    source: Source
    """The ecosystem file."""
    index: int
    """Position of the entry in `apps`."""
    folder: Path
    """Base of its relative paths."""
    system: System | None = None
    """The system that its bootstrap defines; None for a script or command."""
    system_source: Source | None = None
    needs: AppConfig | None = None
    """The needs in its `config/default.json`."""
    needs_source: Source | None = None

    @property
    def owner(self) -> int:
        """Owner of the files that define the app: uid of the first that is not root's, 0 when all are."""
        sources = (self.source, self.system_source, self.needs_source)
        return next((source.owner for source in sources if source and source.owner), 0)

    @property
    def name(self) -> str:
        """Name of the app."""
        return self.entry.name

    @property
    def working_directory(self) -> Path:
        """Folder that its processes start in."""
        if self.system and self.system.cwd and self.system_source and self.entry.cwd is None:
            return absolute(self.system_source.path.parent, self.system.cwd)
        return self.folder


@dataclass(frozen=True)
class Ecosystem:
    """A definition that was found valid, with everything that it refers to."""

    path: Path
    config: EcosystemConfig
    apps: tuple[App, ...]
    source: Source
    owner: str
    """User name of the file's owner."""
    owner_is_root: bool
    has_older_gateway_folder: bool = False
    """True if there is the folder that the older form of a gateway names."""

    @property
    def folder(self) -> Path:
        """The project's folder."""
        return self.path.parent

    @cached_property
    def by_name(self) -> dict[str, App]:
        """The apps by name."""
        return {app.name: app for app in self.apps}

    @cached_property
    def gateway(self) -> Gateway | None:
        """The gateway of every stack, also where the older form says it; None without one."""
        older = self.config.infrastructure.gateway if self.config.infrastructure else None
        if self.config.gateway or older is None:
            return self.config.gateway
        values: dict[str, Any] = {
            name: getattr(older, name) for name in older.model_fields_set & {"image", "config_dir"}
        }
        if self.has_older_gateway_folder:
            values["config_dir"] = older.config_dir
        return Gateway(port=older.port, **values)

    @property
    def gateway_at(self) -> KeyPath:
        """Its place in the definition."""
        return ("gateway",) if self.config.gateway else ("infrastructure", "gateway")

    def apps_of(self, stack: str) -> tuple[App, ...]:
        """Return the apps of a stack, in the order of their declaration."""
        chosen = self.config.stacks[stack].apps
        return tuple(app for app in self.apps if chosen == "all" or app.name in chosen)
