"""`omnitron down`: stop a stack in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from omnitron.cli import changes, job_results, output
from omnitron.cli.arguments import Debug, Json, OptionalStack, User
from omnitron.cli.context import PACKAGED_WATCHER
from omnitron.cli.selection import is_user_scope, one_installed, scopes
from omnitron.names import WATCHER

if TYPE_CHECKING:
    from omnitron.policy.model import InstalledPolicy, StackPolicy

Remove = Annotated[bool, typer.Option("--remove", help="Remove its units and its containers too.")]
Volumes = Annotated[
    bool, typer.Option("--volumes", help="With --remove: remove the data in the volumes of its containers too.")
]


def down_command(
    stack: OptionalStack = None,
    remove: Remove = False,
    volumes: Volumes = False,
    user: User = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Stop every app of a stack: lower `shutdown.priority` first, dependents before what they need.

    The units stay installed, unless --remove is given: `systemctl start` starts the stack again. What its servers
    keep, and its secrets, stay in any case.
    """
    from omnitron.operations.steps import stop_steps

    is_user = is_user_scope(user)
    policy = one_installed(stack, is_user=is_user)
    steps = stop_steps(policy)
    if not output.wants_json():
        output.line(f"stopping {policy.stack} of {policy.project}")
    failed = job_results.carry_out(steps, is_user=is_user)
    if remove and not failed:
        _remove_containers(policy, volumes=volumes)
        _remove(policy, is_user=is_user)
    done = [] if failed else [f"{policy.stack} of {policy.project}"]
    job_results.finish("stopped", done, failed, [policy], is_user=is_user)


def _remove_containers(policy: StackPolicy, *, volumes: bool) -> None:
    """Remove the containers of a stack that has stopped; volumes only when asked."""
    described = [one.container for one in policy.infra if one.container]
    if not described:
        return
    from omnitron.programs.containers.engine import CannotError, EngineDownError, NamedContainer

    for one in described:
        try:
            NamedContainer(one.name, one.volumes).remove(volumes=volumes)
        except (CannotError, EngineDownError) as error:
            output.warn(f"the container {one.name} is left: {error}")


def _remove(policy: InstalledPolicy, *, is_user: bool) -> None:
    """Remove the files of a stack that has stopped."""
    from omnitron.install.installer import remove
    from omnitron.install.store import Store
    from omnitron.observe.snapshot import forget
    from omnitron.operations.steps import Step

    (scope,) = [scope for scope in scopes(is_user) if scope.policies == policy.path.parent]
    store = Store(scope)
    with store.locked(lambda: changes.reload_manager(scope), changes.say_waiting):
        remove(store, policy.target.removesuffix(".target"), lambda: changes.reload_manager(scope))
    forget(policy, scope.records)
    gates = [app.gate for app in policy.apps if app.gate]
    job_results.reset([*policy.services, *gates], is_user=is_user)
    leave_nothing = [policy.slice, *(process.slice for app in policy.apps for process in app.processes)]
    places = [PACKAGED_WATCHER, *(place.units / WATCHER for place in scopes(is_user))]
    if not any(place.exists() for place in places):
        leave_nothing.append(WATCHER)  # it went with the last stack
    job_results.carry_out([Step("stop", tuple(dict.fromkeys(reversed(leave_nothing))), "removed")], is_user=is_user)
