"""Reads a definition with everything it refers to, and returns it checked as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from omnitron.authority import files
from omnitron.authority.accounts import account_of
from omnitron.definition.app import AppConfig, System
from omnitron.definition.authoring import Kind
from omnitron.definition.check import check
from omnitron.definition.ecosystem import AppEntry, EcosystemConfig
from omnitron.definition.lookup import ALSO_READ, SUFFIXES
from omnitron.definition.paths import absolute, is_file, is_folder
from omnitron.definition.problems import validate
from omnitron.definition.project import App, Ecosystem
from omnitron.definition.python.evaluate import evaluate
from omnitron.definition.rules import broken_rules
from omnitron.definition.source import Source, read_source
from omnitron.errors import DefinitionError, Problem

SOURCE_FOLDERS = ("src", "dist")
"""Folders inside an app that may hold its bootstrap; `config/` lies beside them."""


def load(path: Path) -> Ecosystem:
    """Read the ecosystem at `path` and all that it names; raises DefinitionError with every problem."""
    source = _read(path, "ecosystem")
    config, problems = validate(EcosystemConfig, source, source.data)
    if config is None:
        raise DefinitionError(problems)
    apps = []
    for index, entry in enumerate(config.apps):
        app, wrong = _load_app(entry, source, index)
        apps.append(app)
        problems += wrong
    account = account_of(path, source.owner)
    older = config.infrastructure.gateway if config.infrastructure else None
    has_folder = older is not None and is_folder(absolute(path.parent, older.config_dir))
    ecosystem = Ecosystem(path, config, tuple(apps), source, account.pw_name, account.pw_uid == 0, has_folder)
    problems += [problem for problem in check(ecosystem) if not _follows(problem, problems)]
    if problems:
        raise DefinitionError(problems)
    return ecosystem


def _follows(problem: Problem, earlier: list[Problem]) -> bool:
    """Return whether `problem` is one of something in which another is known already."""
    return any(other.file == problem.file and f"{other.path}.".startswith(f"{problem.path}.") for other in earlier)


def _read(path: Path, kind: Kind) -> Source:
    try:
        files.check(path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DefinitionError([Problem(str(path), 0, "", f"cannot read: {reason}")]) from error
    if path.suffix == ".py":
        return evaluate(path, kind)
    if path.suffix not in SUFFIXES + ALSO_READ and is_file(path):
        earlier = ", ".join(SUFFIXES)
        message = f"cannot tell the format: the name ends in {path.suffix or 'nothing'}, not in one of {earlier}"
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
    reported = {path for path, _ in rules} | {(*path, "name") for path, _ in rules}
    problems = [source.problem(path, message) for path, message in rules]
    system, wrong = validate(System, source, source.data)
    covered = {str(source.problem(path, "")) for path in reported}
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
