"""What packaging/locks holds is what pyproject.toml asks for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = ROOT / "packaging/locks"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
EXTRAS = PROJECT["optional-dependencies"]
BUILD = PYPROJECT["dependency-groups"]["build"]

CONTENTS = {
    "build": [*BUILD, *PYPROJECT["build-system"]["requires"]],
    "venv": [*PROJECT["dependencies"], *EXTRAS["host"], *EXTRAS["demo"]],
    "run": EXTRAS["run"],
    "test": [*PROJECT["dependencies"], *EXTRAS["host"], *EXTRAS["demo"], *EXTRAS["tracing"], *EXTRAS["dev"]],
    "oldest": [*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra), *BUILD],
}
PIN = re.compile(
    r"(?P<name>[a-z0-9-]+)==(?P<version>[a-z0-9.]+)(?: ; [^\\]+)?(?P<hashes>(?: --hash=sha256:[0-9a-f]{64})+)"
)


def pins(name: str) -> dict[str, str]:
    """Return the version of each library in a lock; every line has to be a pin with hashes and nothing else."""
    lines = (LOCKS / f"{name}.txt").read_text().replace("\\\n    ", "").splitlines()
    matches = [PIN.fullmatch(line) for line in lines]
    assert all(matches), [line for line, match in zip(lines, matches, strict=True) if not match]
    return {match["name"]: match["version"] for match in matches if match}


def test_every_lock_has_a_rule() -> None:
    assert {path.name for path in LOCKS.iterdir()} == {f"{name}.txt" for name in CONTENTS}


@pytest.mark.parametrize("name", CONTENTS)
def test_a_lock_holds_what_the_project_asks_for(name: str) -> None:
    versions = pins(name)
    for line in CONTENTS[name]:
        requirement = Requirement(line)
        version = versions.get(canonicalize_name(requirement.name))
        assert version, f"{name}.txt lacks {line}: make locks"
        assert requirement.specifier.contains(version, prereleases=True), f"{name}.txt has {version}, not {line}"


def test_locks_that_are_installed_together_agree() -> None:
    for pair in (("build", "venv"), ("build", "test"), ("run", "venv"), ("run", "test"), ("venv", "test")):
        first, second = map(pins, pair)
        assert {key: first[key] for key in first.keys() & second} == {key: second[key] for key in first.keys() & second}


@pytest.mark.parametrize("line", CONTENTS["oldest"])
def test_the_oldest_are_the_lower_bounds(line: str) -> None:
    requirement = Requirement(line)
    bounds = [str(part.version) for part in requirement.specifier if part.operator == ">="]
    version = pins("oldest")[canonicalize_name(requirement.name)]
    assert all(version == bound or version.startswith(f"{bound}.") for bound in bounds), f"{version} for {line}"
