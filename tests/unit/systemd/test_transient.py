"""How the end of a transient unit reads, and what is said without pystemd."""

from __future__ import annotations

import sys

import pytest

from omnitron.systemd.transient import Outcome, PystemdMissingError, require_pystemd


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Outcome(True, None, 0, "success"), 0),
        (Outcome(True, None, 7, "exit-code"), 7),
        (Outcome(True, 9, 0, "signal"), 137),
        (Outcome(True, 11, 0, "core-dump"), 139),
    ],
)
def test_exit_statuses(outcome: Outcome, status: int) -> None:
    assert outcome.exit_status == status


def test_a_missing_pystemd_is_said_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pystemd", None)
    monkeypatch.setitem(sys.modules, "pystemd.dbuslib", None)
    with pytest.raises(PystemdMissingError) as caught:
        require_pystemd()
    assert caught.value.lines() == [
        "cannot make a transient unit: pystemd is not installed",
        "apt install python3-pystemd, or pip install 'omnitron[run]' "
        "(needs libsystemd-dev, pkg-config and a C compiler)",
    ]
