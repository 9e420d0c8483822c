"""What most tests of transports listen on, and modules that tests write."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.module_files import Write, modules_restored, write_files


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """A TCP socket, as systemd would hold it; its queue is long enough for a test to fill none."""
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as made:
        yield made


@pytest.fixture
def as_before() -> Iterator[None]:
    """What a test imports is forgotten."""
    with modules_restored():
        yield


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return lambda texts: write_files(tmp_path, texts)
