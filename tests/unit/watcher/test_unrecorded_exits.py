"""What the crash helpers are told of runs that end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from omnitron.supervision.state import run_notes
from omnitron.supervision.state.crash_record import Exit, Record, UnitRecord
from omnitron.systemd.manager import BusError
from omnitron.systemd.units import UnitState
from omnitron.watcher import unrecorded_exits
from omnitron.watcher.stack_view import view_of

UNIT = "omnitron-dev-a-main.service"
STATE = UnitState(UNIT, "deactivating")


class Answering:
    """A manager that has an answer to each question about the one unit there is."""

    is_user = False

    def __init__(self, result: str = "signal", exited: int = 812_250_000, job: int = 0, gone: bool = False) -> None:
        self._answers = {"Result": result, "ExecMainExitTimestampMonotonic": exited, "Job": (job, "/")}
        self._is_gone = gone

    async def run_of(self, state: UnitState) -> str:
        return await self.property(state, "") or "b1"

    async def property(self, state: UnitState, name: str, interface: str = "Service") -> Any:
        assert state == STATE
        if self._is_gone:
            raise BusError("read it", "org.freedesktop.DBus.Error.UnknownObject", "no such unit")
        return self._answers.get(name)


def failed(folder: Path, **of: Any) -> dict[str, str]:
    return asyncio.run(unrecorded_exits.failed_runs(Answering(**of), str(folder), [STATE]))  # type: ignore[arg-type]


@pytest.mark.parametrize("result", ["signal", "exit-code", "core-dump", "oom-kill", "timeout", "protocol"])
def test_one_that_has_failed(tmp_path: Path, result: str) -> None:
    assert failed(tmp_path, result=result) == {UNIT: "b1"}
    assert run_notes.crash_lines(str(tmp_path), UNIT, "b1") == "Job=\nExecMainExitTimestampMonotonic=812250000\n"
    assert run_notes.crash_lines(str(tmp_path), UNIT, "b2") is None


@pytest.mark.parametrize("of", [{"result": "success"}, {"result": "exec-condition"}, {"job": 7}, {"gone": True}])
def test_one_that_has_not_or_may_not_have(tmp_path: Path, of: dict[str, Any]) -> None:
    assert failed(tmp_path, **of) == {}
    assert run_notes.crash_lines(str(tmp_path), UNIT, "b1") is None


def test_of_one_that_hangs_it_is_not_known_when_it_ends(tmp_path: Path) -> None:
    assert failed(tmp_path, result="watchdog", exited=0) == {UNIT: "b1"}
    assert run_notes.crash_lines(str(tmp_path), UNIT, "b1") is None


def test_what_cannot_be_noted_has_failed_all_the_same(tmp_path: Path) -> None:
    (tmp_path / f"{UNIT}.crash.new").mkdir()
    assert failed(tmp_path) == {UNIT: "b1"}


@pytest.mark.parametrize(("crashed", "run"), [(None, "a0"), ("a0", "b1"), ("x9", "b1")])
def test_the_link_to_a_run_is_not_trusted_once_a_unit_has_crashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crashed: str | None, run: str
) -> None:
    monkeypatch.setattr(unrecorded_exits, "run_of", lambda _, *, is_user: "a0")
    units = {UNIT: UnitRecord(1, None, Exit(1.0, "signal", "killed", "KILL", crashed))} if crashed else {}
    view = view_of({}, [Record([], units)])
    asyncio.run(unrecorded_exits.note_stops(Answering(), str(tmp_path), [STATE], view))  # type: ignore[arg-type]
    assert (tmp_path / f"{UNIT}.stop").read_text() == f"{run}\n"
