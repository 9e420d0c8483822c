"""`omnitron doctor`: whether this host and what is installed on it are well, and the cure where not."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from omnitron.cli import output
from omnitron.cli.arguments import Config, Debug, Json, User
from omnitron.cli.options import make_plan, options
from omnitron.cli.selection import is_user_scope
from omnitron.errors import DefinitionError, OmnitronError
from omnitron.operations.installed import scopes

if TYPE_CHECKING:
    from omnitron.install.manifest import Entry
    from omnitron.install.scope import Scope
    from omnitron.observe.host_checks.finding import Finding
    from omnitron.observe.host_checks.subject import Definition, InstalledUnit, Subject

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor_command(user: User = False, config: Config = None, json: Json = False, debug: Debug = False) -> None:
    """Check the host, the definition and the installed units, and name the cure for what is not well.

    Exit status 1 when a check fails; a warning is not a failure.
    """
    from omnitron.observe.host_checks import examine

    findings = examine(_subject(is_user=is_user_scope(user)))
    if output.wants_json():
        output.data([asdict(finding) for finding in findings])
    else:
        _show(findings)
    if any(finding.state == "fail" for finding in findings):
        raise typer.Exit(1)


def _show(findings: list[Finding]) -> None:
    width = max(len(finding.check) for finding in findings)
    for finding in findings:
        state = output.paint(finding.state.ljust(4), COLOURS[finding.state])
        output.line(f"{state}  {finding.check.ljust(width)}  {finding.message}")
        if finding.cure and finding.state != "ok":
            output.line(f"{' ' * (width + 8)}{output.paint('cure:', 'dim')} {finding.cure}")


def _subject(*, is_user: bool) -> Subject:
    """Collect what the checks look at besides the host."""
    from omnitron.install.installer import manifests
    from omnitron.install.store import Store
    from omnitron.observe.host_checks.subject import Subject
    from omnitron.policy.store import read_policies

    places = scopes(is_user)
    units: list[InstalledUnit] = []
    errors: list[str] = []
    lost: list[Path] = []
    for place in places:
        try:
            for manifest in manifests(place):
                units += [_installed(Path(name), entry) for name, entry in manifest.files.items()]
        except OmnitronError as error:
            errors.append(error.brief)
        try:
            installed = [Store(place).manifest_path(policy.stem) for policy in read_policies([place.policies])]
        except OmnitronError as error:
            errors.append(error.brief)
        else:
            lost += [path for path in installed if not path.exists()]
    interrupted = any(Store(place).is_interrupted() for place in places)
    return Subject(is_user, _definition(places[0]), tuple(units), interrupted, tuple(errors), tuple(lost))


def _installed(path: Path, entry: Entry) -> InstalledUnit:
    from omnitron.install.store import digest
    from omnitron.install.unit_requirements import references
    from omnitron.observe.host_checks.subject import InstalledUnit

    try:
        text = path.read_text(errors="replace")
    except OSError:
        return InstalledUnit(path, "missing")
    state = "same" if digest(text) == entry.digest else "changed"
    named = references(text)
    return InstalledUnit(path, state, named.paths, named.programs, named.user)  # type: ignore[arg-type]


def _definition(scope: Scope) -> Definition | None:
    from omnitron.definition.lookup import NoDefinitionError, find
    from omnitron.observe.host_checks.subject import Definition

    try:
        path = find(options.config, Path.cwd())
    except NoDefinitionError:
        return None
    except OmnitronError as error:
        return Definition(Path.cwd(), (error.brief,), (), cure=error.hint)
    try:
        plan = make_plan(scope)
    except DefinitionError as error:
        return Definition(path, tuple(error.lines()), ())
    except OmnitronError as error:
        return Definition(path, (error.brief,), (), cure=error.hint)
    programs = [
        (f"{process.stack}/{process.app}:{process.name}", process.program.argv[0])
        for stack in plan.stacks
        for processes in stack.apps.values()
        for process in processes
    ]
    return Definition(path, (), tuple(programs))
