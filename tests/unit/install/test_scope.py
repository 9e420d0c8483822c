from __future__ import annotations

import os
from pathlib import Path

import pytest

from omnitron.install.scope import Scope
from omnitron.render.files import File

UNIT, POLICY, JOURNAL = (
    File("units", "x.service", ""),
    File("policy", "x.json", ""),
    File("journald", "omnitron-dev", ""),
)
HOMES = {"HOME": "/home/me", "XDG_CONFIG_HOME": "", "XDG_STATE_HOME": "", "XDG_RUNTIME_DIR": ""}
CASES = [
    (
        Scope(),
        "/etc/systemd/system/x.service",
        "/etc/omnitron/x.json",
        "/etc/systemd/journald@omnitron-dev.conf.d/omnitron.conf",
        "/var/lib/omnitron/.installed",
        "/run/omnitron",
    ),
    (
        Scope(runtime=True),
        "/run/systemd/system/x.service",
        "/run/omnitron/.policy/x.json",
        "/run/systemd/journald@omnitron-dev.conf.d/omnitron.conf",
        "/run/omnitron/.installed",
        "/run/omnitron",
    ),
    (
        Scope(root=Path("/mnt/r")),
        "/mnt/r/etc/systemd/system/x.service",
        "/mnt/r/etc/omnitron/x.json",
        "/mnt/r/etc/systemd/journald@omnitron-dev.conf.d/omnitron.conf",
        "/mnt/r/var/lib/omnitron/.installed",
        "/run/omnitron",
    ),
    (
        Scope("user"),
        "/home/me/.config/systemd/user/x.service",
        "/home/me/.config/omnitron/x.json",
        None,
        "/home/me/.local/state/omnitron/.installed",
        "/run/user/{uid}/omnitron",
    ),
    (
        Scope("user", runtime=True),
        "/run/user/{uid}/systemd/user/x.service",
        "/run/user/{uid}/omnitron/.policy/x.json",
        None,
        "/run/user/{uid}/omnitron/.installed",
        "/run/user/{uid}/omnitron",
    ),
]


@pytest.mark.parametrize(("scope", "unit", "policy", "journal", "state", "records"), CASES)
def test_where_files_go(
    scope: Scope,
    unit: str,
    policy: str,
    journal: str | None,
    state: str,
    records: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in HOMES.items():
        monkeypatch.setenv(name, value)
    found = [scope.path(UNIT), scope.path(POLICY), scope.state, scope.records]
    assert list(map(str, found)) == [text.format(uid=os.getuid()) for text in (unit, policy, state, records)]
    assert journal is None or str(scope.path(JOURNAL)) == journal
    assert scope.is_live is (scope.root is None)


def test_a_user_who_keeps_files_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONFIG_HOME", "STATE_HOME", "RUNTIME_DIR"):
        monkeypatch.setenv(f"XDG_{name}", f"/{name}")
    assert str(Scope("user").units) == "/CONFIG_HOME/systemd/user"
    assert str(Scope("user").state) == "/STATE_HOME/omnitron/.installed"
    assert str(Scope("user", runtime=True).units) == "/RUNTIME_DIR/systemd/user"
    assert str(Scope("user").records) == "/RUNTIME_DIR/omnitron"
