"""What a `dev` block changes, and only in development."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from omnitron.planner.resolve.process import PlannedProcess
from tests.support.build import bootstrap, facts, planned, shop

DEV = {"port": 3001, "logLevel": "debug", "env": {"MODE": "dev", "EXTRA": "1"}}


def processes(folder: Path, dev: Any, *, development: bool = True) -> tuple[PlannedProcess, ...]:
    (folder / "m.py").touch()
    http = {"name": "http", "module": "m.py", "transports": {"http": {"port": 3000}}, "env": {"MODE": "own"}}
    worker = {"name": "worker", "command": ["/bin/true"]}
    file = bootstrap(folder, worker, http, **({"dev": dev} if dev is not None else {}))
    entry = {"name": "api", "bootstrap": file, "env": {"MODE": "entry", "KEPT": "1"}}
    on = replace(facts(), development=development)
    return planned(folder, shop(entry), on).stacks[0].apps["api"]


def test_in_development_the_block_has_the_last_word(tmp_path: Path) -> None:
    worker, http = processes(tmp_path, DEV)
    assert http.hosted
    spec = http.hosted.document
    assert spec.http and (spec.http.port, spec.log_level) == (3001, "debug")
    assert [listener.port for listener in http.listeners] == [3001]
    for process in (worker, http):
        environment = dict(process.environment)
        assert (environment["MODE"], environment["EXTRA"], environment["KEPT"]) == ("dev", "1", "1")
        assert process.log_level == "debug"


def test_in_production_it_has_none(tmp_path: Path) -> None:
    assert processes(tmp_path, DEV, development=False) == processes(tmp_path, None, development=True)
