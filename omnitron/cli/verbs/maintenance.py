"""`omnitron maintenance`: let a stack's gateway answer 503, and serve again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from omnitron.cli import output
from omnitron.cli.arguments import Debug, Json, OptionalStack, User
from omnitron.cli.selection import is_user_scope, select_stack
from omnitron.operations.maintenance import maintenance_switch

if TYPE_CHECKING:
    from omnitron.gateway.maintenance import Switch

app = typer.Typer(
    name="maintenance", help="Let a stack's gateway answer 503 with a page, and serve again.", no_args_is_help=True
)


@app.command()
def on(stack: OptionalStack = None, user: User = False, json: Json = False, debug: Debug = False) -> None:
    """Answer 503 to everybody but those in `gateway.maintenance.allow`, within a second."""
    name, switch = _switch(stack, user)
    switch.set(True)
    _say(name, True)


@app.command()
def off(stack: OptionalStack = None, user: User = False, json: Json = False, debug: Debug = False) -> None:
    """Serve again, within a second."""
    name, switch = _switch(stack, user)
    switch.set(False)
    _say(name, False)


@app.command()
def status(stack: OptionalStack = None, user: User = False, json: Json = False, debug: Debug = False) -> None:
    """Say whether the stack is in maintenance. Exit status 1 when it is."""
    name, switch = _switch(stack, user)
    is_on = switch.is_on()
    _say(name, is_on)
    if is_on:
        raise typer.Exit(1)


def _say(stack: str, is_on: bool) -> None:
    if output.wants_json():
        output.data({"stack": stack, "maintenance": is_on})
    else:
        output.line(f"{stack} is in maintenance" if is_on else f"{stack} is not in maintenance")


def _switch(stack: str | None, user: bool) -> tuple[str, Switch]:
    is_user = is_user_scope(user)
    policy = select_stack(stack, is_user=is_user)
    return policy.stack, maintenance_switch(policy, is_user=is_user)
