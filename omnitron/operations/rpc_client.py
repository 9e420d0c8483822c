"""One call of a service over the Unix socket of its process."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from omnitron.errors import NotPermittedError, OmnitronError

CHUNK = 1 << 16


def call(path: Path, method: str, params: Any, deadline_s: float) -> dict[str, Any]:
    """Return the JSON-RPC answer, `result` or `error` in it; raises OmnitronError when there is none."""
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params, "deadline": deadline_s}
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        # The process keeps the deadline; this is for one that does not answer at all.
        connection.settimeout(deadline_s + 1)
        try:
            connection.connect(str(path))
            connection.sendall(json.dumps(request).encode() + b"\n")
            line = _line(connection)
        except PermissionError as error:
            raise NotPermittedError(
                f"cannot call {method}: {path} is for its user and root", hint="use sudo"
            ) from error
        except TimeoutError as error:
            raise OmnitronError(f"cannot call {method}: no answer within {deadline_s:g} s") from error
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise OmnitronError(f"cannot call {method}: {path}: {why}", hint="see `omnitron status`") from error
    try:
        answer = json.loads(line)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or not ("result" in answer or isinstance(answer.get("error"), dict)):
        raise OmnitronError(f"cannot call {method}: the process has closed the connection without an answer")
    return answer


def _line(connection: socket.socket) -> bytes:
    parts = []
    while chunk := connection.recv(CHUNK):
        parts.append(chunk)
        if b"\n" in chunk:
            break
    return b"".join(parts).partition(b"\n")[0]
