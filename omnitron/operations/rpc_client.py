"""Calls of services over the Unix sockets of their processes."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from omnitron.errors import NotPermittedError, OmnitronError, UsageError
from omnitron.operations.installed import reports
from omnitron.policy.model import Selection
from omnitron.systemd.local import runtime_folder

CHUNK = 1 << 16
METHOD_NOT_FOUND = -32601


def call_selection(
    selection: Selection, method: str, params: Any, deadline_s: float, *, is_user: bool
) -> dict[str, Any]:
    """Call `SERVICE.method` on the processes that are selected, in turn, until one has it; return the answer.

    Raises UsageError when none of them runs; see `call` for the rest.
    """
    sockets = _control_sockets(selection, is_user=is_user)
    if not sockets:
        raise UsageError(
            f"cannot call {method}: no process of {selection.address} that has a module runs",
            hint=f"see `omnitron status`; `omnitron start {selection.address}` starts it",
        )
    answer: dict[str, Any] = {}
    for path in sockets:
        answer = call(path, method, params, deadline_s)
        # Of several processes without the method, the last one lists what it has.
        if answer.get("error", {}).get("code") != METHOD_NOT_FOUND:
            break
    return answer


def _control_sockets(selection: Selection, *, is_user: bool) -> list[Path]:
    """Return the control sockets of the selected processes that run, one for each process."""
    (report,) = reports([selection.stack], is_user=is_user)
    (app,) = [app for app in report.apps if app.policy == selection.app]
    sockets = []
    for process in app.processes:
        if selection.process not in (None, process.policy) or process.policy.control is None:
            continue
        running = [service for service in process.services if service.status == "online"]
        instances = [service.instance for service in running if selection.instance in (None, service.instance)]
        for instance in instances[:1]:
            number = f"@{instance}" if instance is not None else ""
            sockets.append(runtime_folder(is_user) / f"{process.policy.control}{number}" / "control.sock")
    return sockets


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
