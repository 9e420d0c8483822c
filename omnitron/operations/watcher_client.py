"""Questions to the watcher, on its Unix socket."""

from __future__ import annotations

import json
import socket
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from omnitron.errors import OmnitronError

PATIENCE_S = 10.0
SOCKET = "watcher.sock"


class _Connection(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE_S)
        self.sock.connect(str(self._path))


def ask(records: Path, what: str, *, is_user: bool) -> Any:
    """Return the answer to `/metrics.json` or `/history.json`; OmnitronError where there is no watcher."""
    path = records / SOCKET
    connection = _Connection(path)
    try:
        connection.request("GET", what)
        return json.loads(connection.getresponse().read())
    except (OSError, HTTPException, ValueError) as error:
        why = (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
        raise OmnitronError(
            f"cannot ask the watcher: {path}: {why}",
            hint=f"does it run? systemctl{' --user' if is_user else ''} status omnitron-watcher",
        ) from error
    finally:
        connection.close()
