"""What most tests of transports listen on."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """A TCP socket, as systemd would hold it; its queue is long enough for a test to fill none."""
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as made:
        yield made
