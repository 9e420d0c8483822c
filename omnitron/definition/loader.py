"""Finds a definition, reads it with everything it refers to, and returns it checked as a whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from omnitron.definition import ownership
from omnitron.definition.app import AppConfig, System
from omnitron.definition.authoring import Kind
from omnitron.definition.ecosystem import AppEntry, EcosystemConfig, Gateway
from omnitron.definition.problems import validate
from omnitron.definition.python.evaluate import evaluate
from omnitron.definition.rules import broken_rules
from omnitron.definition.source import KeyPath, Source, read_source
from omnitron.errors import DefinitionError, OmnitronError, Problem

ECOSYSTEM_STEM = "omnitron.config"
SUFFIXES = (".py", ".toml", ".yaml", ".json")
ALSO_READ = (".yml",)
SOURCE_FOLDERS = ("src", "dist")
"""Folders inside an app that may hold its bootstrap; `config/` lies beside them."""


class NoDefinitionError(OmnitronError):
    """There is no ecosystem file where one was looked for."""

    exit_code = 3

    def __init__(self, where: Path) -> None:
        names = ", ".join(ECOSYSTEM_STEM + suffix for suffix in SUFFIXES)
        super().__init__(
            f"cannot find a definition: none of {names} is in {where} or a folder above it",
            hint="write one with `omnitron init`, or name it with --config",
        )


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
    """What its bootstrap defines; None for a script or command."""
    system_source: Source | None = None
    needs: AppConfig | None = None
    """What its `config/default.json` asks for."""
    needs_source: Source | None = None

    @property
    def is_roots_own(self) -> bool:
        """Whether every file that says what runs belongs to root."""
        return self.owner == 0

    @property
    def owner(self) -> int:
        """Whose the files are that say what runs: uid of the first that is not root's, 0 when all are."""
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
    """Whether there is the folder that the older form of a gateway names."""

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
        said: dict[str, Any] = {name: getattr(older, name) for name in older.model_fields_set & {"image", "config_dir"}}
        if self.has_older_gateway_folder:
            said["config_dir"] = older.config_dir
        return Gateway(port=older.port, **said)

    @property
    def gateway_at(self) -> KeyPath:
        """Where that is said."""
        return ("gateway",) if self.config.gateway else ("infrastructure", "gateway")

    def apps_of(self, stack: str) -> tuple[App, ...]:
        """Return the apps of a stack, in the order of their declaration."""
        chosen = self.config.stacks[stack].apps
        return tuple(app for app in self.apps if chosen == "all" or app.name in chosen)


def is_roots_own(source: Source) -> bool:
    """Whether a part of a definition belongs to root: whoever may write it could else be root with it."""
    return source.owner == 0


def absolute(base: Path, path: str) -> Path:
    """Return `path` made absolute against `base`, with `~` and dots taken out but symlinks kept."""
    relative = Path(path)
    with suppress(RuntimeError):  # "~somebody" that is nobody here is a name like any other
        relative = relative.expanduser()
    return Path(os.path.normpath(base / relative))


def is_file(path: Path) -> bool:
    """Whether a file can be reached at `path`; one with an impossible name, or out of sight, cannot."""
    return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises for those


def is_folder(path: Path) -> bool:
    """Whether a folder can be reached at `path`."""
    return os.path.isdir(path)  # noqa: PTH112 - as above


def find(config: Path | None, start: Path) -> Path:
    """Return the ecosystem file: `config` itself, else the nearest in `start` or a folder above it."""
    if config is not None:
        path = absolute(start, str(config))
        return next(_candidates(path), path)
    for folder in (start, *start.parents):
        for path in _candidates(folder):
            return path
    raise NoDefinitionError(start)


def _candidates(folder: Path) -> Iterator[Path]:
    return (path for suffix in SUFFIXES + ALSO_READ if is_file(path := folder / (ECOSYSTEM_STEM + suffix)))


def load(path: Path) -> Ecosystem:
    """Read the ecosystem at `path` and all that it names; raises DefinitionError with every problem."""
    from omnitron.definition.check import check

    source = _read(path, "ecosystem")
    config, problems = validate(EcosystemConfig, source, source.data)
    if config is None:
        raise DefinitionError(problems)
    apps = []
    for index, entry in enumerate(config.apps):
        app, wrong = _load_app(entry, source, index)
        apps.append(app)
        problems += wrong
    account = ownership.account_of(path, source.owner)
    older = config.infrastructure.gateway if config.infrastructure else None
    has_folder = older is not None and is_folder(absolute(path.parent, older.config_dir))
    ecosystem = Ecosystem(path, config, tuple(apps), source, account.pw_name, account.pw_uid == 0, has_folder)
    problems += [problem for problem in check(ecosystem) if not _follows(problem, problems)]
    if problems:
        raise DefinitionError(problems)
    return ecosystem


def _follows(problem: Problem, known: list[Problem]) -> bool:
    """Whether `problem` is one of something in which another is known already."""
    return any(other.file == problem.file and f"{other.path}.".startswith(f"{problem.path}.") for other in known)


def load_system(path: Path) -> System:
    """Read one bootstrap file; raises DefinitionError with every problem."""
    source = _read(path, "system")
    system, problems = _system(source)
    if system is None or problems:
        raise DefinitionError(problems)
    return system


def _read(path: Path, kind: Kind) -> Source:
    try:
        ownership.check_trusted(path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DefinitionError([Problem(str(path), 0, "", f"cannot read: {reason}")]) from error
    if path.suffix == ".py":
        return evaluate(path, kind)
    if path.suffix not in SUFFIXES + ALSO_READ and is_file(path):
        known = ", ".join(SUFFIXES)
        message = f"cannot tell the format: the name ends in {path.suffix or 'nothing'}, not in one of {known}"
        raise DefinitionError([Problem(str(path), 0, "", message)])
    return read_source(path)


def _load_app(entry: AppEntry, source: Source, index: int) -> tuple[App, list[Problem]]:
    project = source.path.parent
    folder = absolute(project, entry.cwd) if entry.cwd else project
    app = App(entry, source, index, folder)
    if not entry.bootstrap:
        return app, []
    path = absolute(folder, entry.bootstrap)
    if not is_file(path):
        return app, [source.problem(("apps", index, "bootstrap"), f"cannot find the file {path}")]
    problems: list[Problem] = []
    with _collected(problems):
        system_source = _read(path, "system")
        system, wrong = _system(system_source)
        app = replace(app, system=system, system_source=system_source)
        problems += wrong
    with _collected(problems):
        needs, needs_source, wrong = _needs(path, folder)
        app = replace(app, needs=needs, needs_source=needs_source)
        problems += wrong
    return app, problems


@contextmanager
def _collected(problems: list[Problem]) -> Iterator[None]:
    """Add what a file that cannot be read has wrong to `problems`, and go on."""
    try:
        yield
    except DefinitionError as error:
        problems += error.problems


def _system(source: Source) -> tuple[System | None, list[Problem]]:
    rules = list(broken_rules(source.data)) if isinstance(source.data, dict) else []
    said = {path for path, _ in rules} | {(*path, "name") for path, _ in rules}
    problems = [source.problem(path, message) for path, message in rules]
    system, wrong = validate(System, source, source.data)
    covered = {str(source.problem(path, "")) for path in said}
    return system, problems + [p for p in wrong if str(Problem(p.file, p.line, p.path, "")) not in covered]


def _needs(bootstrap: Path, folder: Path) -> tuple[AppConfig | None, Source | None, list[Problem]]:
    home = bootstrap.parent.parent if bootstrap.parent.name in SOURCE_FOLDERS else bootstrap.parent
    for base in dict.fromkeys((bootstrap.parent, home, folder)):
        path = base / "config" / "default.json"
        if is_file(path):
            break
    else:
        return None, None, []
    source = _read(path, "system")
    if not isinstance(source.data, dict) or "omnitron" not in source.data:
        return None, source, []
    needs, problems = validate(AppConfig, source, source.data["omnitron"], ("omnitron",))
    return needs, source, problems
