"""A folder to install to, and definitions before and after a change."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.build import planned
from tests.support.install import Host, Make


@pytest.fixture
def plan(tmp_path: Path) -> Make:
    """Plans a definition of the project in `tmp_path/project`."""
    return lambda data: planned(tmp_path / "project", data)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    (tmp_path / "root").mkdir()
    return Host(tmp_path / "root")
