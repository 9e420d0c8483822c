from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from omnitron.supervision.light import systemctl as manager

Fake = Callable[[str], Path]


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Puts a shell script in systemctl's place; returns the file that lists its calls."""
    program, calls = tmp_path / "systemctl", tmp_path / "calls"
    calls.write_text("")

    def fake(body: str) -> Path:
        program.write_text(f'#!/bin/sh\necho "$*" >>{calls}\n{body}\n')
        program.chmod(0o755)
        monkeypatch.setattr(manager, "_PLACES", (str(program),))
        return calls

    return fake
