"""`omnitron exec`: call a service of an app, and print what it answers."""

from __future__ import annotations

import json as json_
from typing import Annotated, Any

import typer

from omnitron.cli import output
from omnitron.cli.arguments import App, Debug, Json, User
from omnitron.cli.selection import is_user_scope, select
from omnitron.errors import OmnitronError
from omnitron.operations.rpc_client import METHOD_NOT_FOUND, call_selection

CONTEXT_SETTINGS = {"ignore_unknown_options": True}
INTERNAL_ERROR = -32603

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
    is_user = is_user_scope(user)
    (selection,) = select(app, is_user=is_user)
    name = f"{service}.{method}"
    _print(call_selection(selection, name, _params(arguments or []), deadline, is_user=is_user), name)


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
