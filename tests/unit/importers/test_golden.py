"""Typical files, and the definitions that they become; `--golden-update` writes what is expected anew."""

import shutil
from pathlib import Path

import pytest

from omnitron.definition import loader
from omnitron.importers import emit, import_file
from omnitron.importers.host_files import Surroundings

CASES = Path(__file__).with_name("cases")
SOURCES = ("Procfile", "docker-compose.yml", "compose.yaml", "compose.yml", "ecosystem.config.js", "ecosystem.json")
EXPECTED = "expected.yaml"
WARNINGS = "expected-warnings.txt"


@pytest.mark.parametrize("case", sorted(path.name for path in CASES.iterdir() if path.is_dir()))
def test_golden(case, tmp_path, monkeypatch, request):
    folder = tmp_path / case
    shutil.copytree(CASES / case, folder)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    monkeypatch.chdir(folder)
    source = next(Path(name) for name in (*SOURCES, "process.yaml") if Path(name).exists())
    around = Surroundings(folder, folder, {"API_TOKEN": "from the shell"}, cpus=4)
    imported = import_file(case.partition("-")[0], source, around)
    text = emit.document(imported.definition)
    warnings = "".join(f"{warning}\n" for warning in imported.warnings)
    if request.config.getoption("--golden-update"):
        (CASES / case / EXPECTED).write_text(text)
        (CASES / case / WARNINGS).write_text(warnings)
    assert text == (CASES / case / EXPECTED).read_text()
    assert warnings == (CASES / case / WARNINGS).read_text()
    for warning in imported.warnings:
        assert warning.message.removeprefix("cannot be carried over: ") in text
    (folder / "omnitron.config.yaml").write_text(text)
    loader.load(folder / "omnitron.config.yaml")
