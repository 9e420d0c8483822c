"""What an installed unit needs on the host."""

from __future__ import annotations

from pathlib import Path

from omnitron.install.unit_requirements import References, references
from omnitron.render.files import render
from tests.support.build import planned, shop


def test_programs_scripts_folders_and_helpers(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("")
    (tmp_path / "data").mkdir()
    app = {"name": "api", "script": "main.py", "paths": {"write": ["data"]}}
    plan = planned(tmp_path, shop(app, stacks={"dev": {"type": "local"}}))
    (text,) = [file.text for file in render(plan.stacks[0]) if file.name == "omnitron-dev-api-main.service"]
    found = references(text)
    assert found.user == "www-data"
    assert found.paths[:2] == ("/usr/bin/python3", str(tmp_path / "main.py"))
    assert {"/bin/sh", "/usr/lib/omnitron/supervision/helpers/start_delay.sh", str(tmp_path)} <= set(found.paths)
    assert str(tmp_path / "data") in found.paths
    assert not any("%" in path for path in found.paths)


def test_what_may_be_missing_is_not_asked_for() -> None:
    text = """\
[Service]
DynamicUser=yes
User=who
WorkingDirectory=-/nowhere
ExecStart=node --data=/later /later /later/x.js
ExecStart=@/bin/true true
BindReadOnlyPaths=-/optional "/with space":/there
ReadWritePaths=+/rw %t/x
"""
    assert references(text) == References(("/bin/true", "/with space", "/rw"), ("node",), None)


def test_a_unit_that_runs_nothing() -> None:
    assert references("[Unit]\nDescription=x\n[Socket]\nListenStream=80\n") == References((), (), None)
