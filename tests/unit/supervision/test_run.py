"""The paths of ours that installed units contain: a contract that outlives a version."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from omnitron.supervision.helpers import run

FOLDER = Path(run.__file__).parent
PACKAGE = FOLDER.parents[1]
GOLDEN = Path(__file__).parents[2] / "golden"

# Units of every version that was ever installed run these. One that is renamed leaves a file that forwards.
PATHS = {
    "supervision/helpers/count_crash.sh",
    "supervision/helpers/critical_check.sh",
    "supervision/helpers/health_gate.sh",
    "supervision/helpers/run.py",
    "supervision/helpers/start_delay.sh",
    "programs/secrets/as_environment.py",
    "programs/servers/nginx.py",
    "programs/servers/postgres.py",
    "programs/servers/redis.py",
}
NAMES = {"count_crash", "health_sweep", "readiness_probe", "run_as_service", "start_delay"}
MODULES = {"host", "programs.containers", "programs.secrets", "watcher"}


@pytest.mark.parametrize("path", sorted(PATHS))
def test_what_units_run_is_there(path: str) -> None:
    assert (PACKAGE / path).is_file()


def test_every_name_of_a_helper_is_a_module_with_a_main() -> None:
    assert set(run.HELPERS) == NAMES
    for name in NAMES:
        assert "\ndef main(" in (FOLDER / f"{name}.py").read_text()


def test_golden_units_contain_no_other_path_of_ours() -> None:
    units = [path.read_text() for path in GOLDEN.rglob("expected/units/*") if path.is_file()]
    paths = {match for text in units for match in re.findall(r"/usr/lib/omnitron/([\w./-]+\.(?:py|sh))", text)}
    modules = {match for text in units for match in re.findall(r"-m omnitron\.([\w.]+)", text)}
    assert paths <= PATHS
    assert modules <= MODULES


@pytest.mark.parametrize("arguments", [[], ["run"], ["../../x"], ["count_crash.py"]])
def test_an_unknown_helper_is_refused(arguments: list[str]) -> None:
    command = [sys.executable, "-I", "-S", str(FOLDER / "run.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == run.USAGE_ERROR
    assert done.stderr.startswith("cannot start the helper ") and "count_crash" in done.stderr
