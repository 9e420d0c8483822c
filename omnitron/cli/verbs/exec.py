"""`omnitron exec`: call a service of an app, and print what it answers."""

from __future__ import annotations

import json as json_
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from omnitron.cli import output
from omnitron.cli.arguments import App, Debug, Json, User
from omnitron.cli.selection import is_user_scope, reports, targets
from omnitron.errors import OmnitronError, UsageError

if TYPE_CHECKING:
    from omnitron.policy.model import Selection

CONTEXT_SETTINGS = {"ignore_unknown_options": True}
METHOD_NOT_FOUND, INTERNAL_ERROR = -32601, -32603

Service = Annotated[str, typer.Argument(metavar="SERVICE", help="The service.")]
Method = Annotated[str, typer.Argument(metavar="METHOD", help="Its method.")]
Arguments = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ARGUMENT]...", help="JSON, else text; all of the form NAME=VALUE are given by name."),
]
Deadline = Annotated[float, typer.Option("--deadline", help="Longest time to wait for the answer, in seconds.")]


def exec_command(
    app: App,
    service: Service,
    method: Method,
    arguments: Arguments = None,
    deadline: Deadline = 30.0,
    user: User = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Call a method of a service that runs in a process with a module, and print the result as JSON.

    The call goes to the process's own socket, which root and its user may use. Without a process in the
    address, the processes of the app are asked in turn which of them has the service.
    """
    from omnitron.operations.rpc_client import call

    is_user = is_user_scope(user)
    (one,) = targets(app, is_user=is_user)
    sockets = list(_sockets(one, is_user=is_user))
    if not sockets:
        raise UsageError(
            f"cannot call {service}.{method}: no process of {one.address} that has a module runs",
            hint=f"see `omnitron status`; `omnitron start {one.address}` starts it",
        )
    answer: dict[str, Any] = {}
    for path in sockets:
        answer = call(path, f"{service}.{method}", _params(arguments or []), deadline)
        # Of several processes without the method, the last one tells what it has.
        if answer.get("error", {}).get("code") != METHOD_NOT_FOUND:
            break
    _print(answer, f"{service}.{method}")


def _sockets(one: Selection, *, is_user: bool) -> list[Path]:
    """Return the own sockets of what runs of the target, one for each process."""
    from omnitron.systemd.local import runtime_folder

    (report,) = reports([one.stack], is_user=is_user)
    (app,) = [found for found in report.apps if found.policy == one.app]
    found = []
    for process in app.processes:
        running = [service for service in process.services if service.status == "online"]
        if one.process not in (None, process.policy) or process.policy.control is None:
            continue
        chosen = [service for service in running if one.instance in (None, service.instance)]
        for service in chosen[:1]:
            number = f"@{service.instance}" if service.instance is not None else ""
            found.append(runtime_folder(is_user) / f"{process.policy.control}{number}" / "control.sock")
    return found


def _params(arguments: list[str]) -> Any:
    """Return what the words mean: a list, or an object when each of them has a name."""
    pairs = [word.partition("=") for word in arguments]
    if arguments and all(name.isidentifier() and equals for name, equals, _ in pairs):
        return {name: _value(value) for name, _, value in pairs}
    return [_value(word) for word in arguments]


def _value(text: str) -> Any:
    try:
        return json_.loads(text)
    except ValueError:
        return text


def _print(answer: dict[str, Any], name: str) -> None:
    error = answer.get("error")
    if error is None:
        output.data(answer.get("result"))
        return
    data = error.get("data")
    hint = "the log has the rest: omnitron logs" if error["code"] == INTERNAL_ERROR else None
    if error["code"] == METHOD_NOT_FOUND and isinstance(data, dict) and "methods" in data:
        hint = f"there is {', '.join(data['methods']) or 'none: methods of an @service class must be async'}"
        data = None
    more = f" {json_.dumps(data, ensure_ascii=False)}" if data is not None else ""
    raise OmnitronError(f"{name}: {error['message']} ({error['code']}){more}", hint=hint)
