"""How a one-off command is handed to systemd, and what is said when it cannot be run."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from omnitron.errors import UsageError
from omnitron.operations.events import Event, OutOfMemory, ignore
from omnitron.operations.one_off import (
    CannotRunError,
    _check_executed,
    _description,
    _executable,
    _exit_status,
    _search_path,
)
from omnitron.planner.resolve.process import PlannedProcess
from omnitron.systemd import journal
from omnitron.systemd.transient import Outcome, TransientUnit
from tests.support.build import facts, planned, shop

UNIT = TransientUnit("omnitron-run-dev-api-1.service", is_user=True)


def process(folder: Path, **app: Any) -> PlannedProcess:
    plan = planned(folder, shop({"name": "api", **app}, stacks={"dev": {"type": "local"}}))
    return plan.stacks[0].apps["api"][0]


def test_a_program_with_a_slash_is_relative_to_the_apps_folder(tmp_path: Path) -> None:
    api = process(tmp_path)
    assert _executable(api, ["./manage.py", "$HOME", "%n"], facts()) == (
        f"{tmp_path}/manage.py",
        [f"{tmp_path}/manage.py", "$HOME", "%n"],
        ["no-env-expand"],
    )
    assert _executable(api, ["/bin/ls"], facts())[0] == "/bin/ls"
    assert _executable(api, ["env"], facts())[0] == "env"


def test_arguments_that_no_bus_carries(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="an argument is not UTF-8"):
        _executable(process(tmp_path), ["echo", "\udcff"], facts())


def test_the_programs_of_a_virtual_environment_come_first(tmp_path: Path) -> None:
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").symlink_to("/usr/bin/python3")
    (tmp_path / ".venv/pyvenv.cfg").touch()
    (tmp_path / "main.py").touch()
    ((name, signature, folders),) = _search_path(process(tmp_path, script="main.py"))
    assert (name, signature, folders[0]) == ("ExecSearchPath", "as", str(tmp_path / ".venv/bin"))
    assert "/usr/bin" in folders


def test_the_apps_own_path_is_searched(tmp_path: Path) -> None:
    assert _search_path(process(tmp_path, env={"PATH": "/opt/bin:rel::/bin"})) == [
        ("ExecSearchPath", "as", ["/opt/bin", "/bin"])
    ]
    assert _search_path(process(tmp_path)) == []


def test_a_description_is_one_short_line(tmp_path: Path) -> None:
    text = _description(process(tmp_path), ["sh", "-c", "a\nExecStart=b\x1b" + "x" * 200])
    assert text.startswith("dev/api: sh -c a ExecStart=b x")
    assert text.isprintable() and len(text) < 120


@pytest.mark.parametrize(
    ("outcome", "stopped_by", "status"),
    [
        (Outcome(True, None, 3, "exit-code"), None, 3),
        (Outcome(True, 15, 0, "signal"), None, 143),
        (Outcome(True, 15, 0, "signal"), 2, 130),
        (Outcome(False, None, 0, "success"), 15, 143),
    ],
)
def test_the_exit_status(outcome: Outcome, stopped_by: int | None, status: int) -> None:
    assert _exit_status("x", outcome, stopped_by, ignore) == status


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (203, "there is no such program, or it cannot be executed"),
        (217, "its user is not known here"),
        (226, "its sandbox cannot be set up"),
        (0, "systemd says resources, status 0"),
    ],
)
def test_what_fails_before_the_program(tmp_path: Path, status: int, why: str) -> None:
    outcome = Outcome(False, None, status, "resources" if not status else "exit-code")
    error = CannotRunError("x", process(tmp_path), outcome, "what to do")
    assert error.lines() == [f"cannot run 'x' as dev/api:main: {why}", "what to do"]
    assert error.exit_code == 127


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("No way", "systemd says: No way"),
        (None, "see: journalctl --user -e -u omnitron-run-dev-api-1.service"),
        ("", None),
    ],
)
def test_a_status_of_systemd_that_was_the_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str | None, hint: str | None
) -> None:
    monkeypatch.setattr(journal, "why_not_executed", lambda *_, **__: words)
    with pytest.raises(CannotRunError) if hint else nullcontext() as raised:
        _check_executed("x", process(tmp_path), Outcome(False, None, 203, "exit-code"), UNIT, None)
    assert (raised.value.hint if raised else None) == hint


def test_an_end_for_want_of_memory_is_reported() -> None:
    events: list[Event] = []
    assert _exit_status("x", Outcome(True, 9, 0, "oom-kill"), None, events.append) == 137
    assert events == [OutOfMemory("x")]
