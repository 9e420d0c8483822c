"""What is printed: of many errors as many as one can read."""

from __future__ import annotations

import pytest

from omnitron.cli import output


def test_few_errors_are_all_there(capsys: pytest.CaptureFixture[str]) -> None:
    output.errors(["a.service: it failed", "b.service: it failed"], "see: journalctl")
    assert capsys.readouterr().err == (
        "error: a.service: it failed\nerror: b.service: it failed\n       see: journalctl\n"
    )


def test_many_errors_leave_room_for_the_hint(capsys: pytest.CaptureFixture[str]) -> None:
    output.errors([f"pool@{number}.service: it failed" for number in range(1, 67)], "see: journalctl")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == output.ERRORS_SHOWN + 2
    assert lines[-2:] == ["       and 56 more; --json lists all", "       see: journalctl"]
