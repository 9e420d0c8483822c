"""What becomes of whole definitions: each folder of tests/golden has one, and every file made of it.

`args` beside a definition says what it is made for; `pytest --golden-update` writes `expected/` anew.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from omnitron.definition.loader import load
from omnitron.definition.lookup import find
from omnitron.definition.project import Ecosystem
from omnitron.definition.source import Source
from omnitron.errors import DefinitionError
from omnitron.planner.facts import HostFacts, SecretPlaces
from omnitron.planner.plan import Plan, make_plan
from omnitron.render.files import render
from tests.support.build import HELPERS, PYTHON
from tests.support.unit_reader import check

GOLDEN = Path(__file__).parents[2] / "golden"
CASES = sorted(path.name for path in GOLDEN.iterdir() if path.is_dir() and path.name != "__pycache__")
REFUSED = {"refused"}
needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed here")


def arguments(case: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--systemd-version", type=int, default=257)
    parser.add_argument("--user", action="store_true")
    parser.add_argument("--at", type=Path, default=Path("/srv") / case, help="where the definition is said to lie")
    parser.add_argument("--owner", default="deploy")
    file = GOLDEN / case / "args"
    return parser.parse_args(file.read_text().split() if file.exists() else [])


@pytest.fixture
def project(tmp_path: Path, case: str) -> Path:
    """A copy of the case that nobody else can write, wherever the checkout lies."""
    copy = tmp_path / case
    shutil.copytree(GOLDEN / case, copy, ignore=shutil.ignore_patterns("expected", "args"))
    for path in (copy, *copy.rglob("*")):
        path.chmod(path.stat().st_mode & ~0o022)
    return copy


def moved(ecosystem: Ecosystem, to: Path, owner: str) -> Ecosystem:
    """The same definition in another place and of another owner, so that no path is one of this machine."""

    def there(path: Path) -> Path:
        return to / path.relative_to(ecosystem.folder)

    def source(read: Source | None) -> Any:
        return replace(read, path=there(read.path)) if read else None

    apps = tuple(
        replace(
            app,
            source=source(app.source),
            folder=there(app.folder),
            system_source=source(app.system_source),
            needs_source=source(app.needs_source),
        )
        for app in ecosystem.apps
    )
    return replace(
        ecosystem,
        path=there(ecosystem.path),
        apps=apps,
        source=source(ecosystem.source),
        owner=owner,
        owner_is_root=False,
    )


def on(args: argparse.Namespace, version: int, python: Path) -> HostFacts:
    """The host that a case is made for."""
    scope = "user" if args.user else "system"
    return HostFacts(version, scope, HELPERS, python, secrets=SecretPlaces(sealed=args.user))


def made(project: Path, case: str) -> dict[str, str]:
    """Every file that a case makes, by its path in `expected/`; the policies so that a diff shows what changed."""
    args = arguments(case)
    facts = on(args, args.systemd_version, PYTHON)
    try:
        plan = make_plan(moved(load(find(None, project)), args.at, args.owner), facts)
    except DefinitionError as error:
        return {"errors": str(error).replace(str(project), str(args.at)) + "\n"}
    files = {"warnings": "".join(f"{line}\n" for line in plan.warnings)} if plan.warnings else {}
    for stack in plan.stacks:
        # Files that are the same whatever the definition are their own golden copy.
        for file in (file for file in render(stack) if file.place not in ("bus", "sysusers")):
            files[f"{file.place}/{file.name}"] = pretty(file.text) if file.name.endswith(".json") else file.text
    return files


def pretty(text: str) -> str:
    return json.dumps(json.loads(text), indent=1, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str, project: Path, request: pytest.FixtureRequest) -> None:
    files, folder = made(project, case), GOLDEN / case / "expected"
    if request.config.getoption("--golden-update"):
        shutil.rmtree(folder, ignore_errors=True)
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    expected = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert sorted(files) == sorted(expected)
    for name, text in files.items():
        assert text == expected[name], f"{name} differs; see it with: pytest --golden-update && git diff"
    assert (set(files) == {"errors"}) is (case in REFUSED)
    assert not any(str(project) in text or os.fspath(GOLDEN) in text for text in files.values())


def planned_here(project: Path, case: str, version: int) -> Plan:
    args = arguments(case)
    ecosystem = replace(load(find(None, project)), owner=args.owner, owner_is_root=False)
    facts = on(args, version, Path(sys.executable))
    return make_plan(ecosystem, facts)


@pytest.mark.parametrize("case", [case for case in CASES if case not in REFUSED])
def test_every_unit_reads_back(case: str, project: Path) -> None:
    for version in (252, 262):
        for stack in planned_here(project, case, version).stacks:
            texts = {file.name: file.text for file in render(stack)}
            for unit in stack.units:
                check(unit, texts[unit.name])


def analyze(*words: str | Path, user: bool = False) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", *(["--user"] if user else []), *map(str, words)]
    environment = os.environ | {"XDG_RUNTIME_DIR": "/run"}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)


def host_version() -> int:
    match = re.match(r"systemd (\d+)", analyze("--version").stdout)
    assert match
    return int(match[1])


def written(plan: Plan, folder: Path) -> list[Path]:
    folder.mkdir()
    for stack in plan.stacks:
        for file in render(stack):
            if file.place == "units":
                (folder / file.name).write_text(file.text)
    return sorted(folder.iterdir())


@needs_systemd
@pytest.mark.parametrize("case", [case for case in CASES if case not in REFUSED])
def test_systemd_has_nothing_to_say_about_the_units(case: str, project: Path, tmp_path: Path) -> None:
    units = written(planned_here(project, case, host_version()), tmp_path / "units")
    result = analyze("verify", "--recursive-errors=yes", "--man=no", *units, user=arguments(case).user)
    assert (result.stdout, result.stderr, result.returncode) == ("", "", 0)


@needs_systemd
@pytest.mark.parametrize("case", ["hardening"])
def test_a_strict_network_service_is_hardly_exposed(case: str, project: Path, tmp_path: Path) -> None:
    units = written(planned_here(project, case, host_version()), tmp_path / "units")
    (unit,) = (unit for unit in units if unit.name == "omnitron-dev-held_port-main.service")
    result = analyze("security", "--offline=true", "--threshold=22", unit)
    assert result.returncode == 0, result.stdout + result.stderr
