"""`down`: a stack stopped in order, and removed when that is asked for."""

from __future__ import annotations

from omnitron.names import WATCHER
from omnitron.observe.snapshot import forget
from omnitron.operations import audit
from omnitron.operations.events import ContainerLeft, Progress, ignore
from omnitron.operations.install import uninstall
from omnitron.operations.installed import scopes
from omnitron.operations.job_runner import JobOutcome, outcome, reset_failed, run_steps
from omnitron.operations.steps import Step, stop_steps
from omnitron.policy.model import InstalledPolicy
from omnitron.systemd.local import PACKAGED_WATCHER


def down(
    policy: InstalledPolicy,
    *,
    is_user: bool,
    removes: bool = False,
    removes_volumes: bool = False,
    progress: Progress = ignore,
) -> JobOutcome:
    """Stop every app of a stack: lower `shutdown.priority` first, dependents before what they need.

    With `removes` its units, files and containers go too; with `removes_volumes` the data of its containers.
    Nothing is removed of a stack that did not stop.
    """
    audit.record_act("down --remove" if removes else "down", policy)
    steps = stop_steps(policy)
    failed = run_steps(steps, is_user=is_user)
    if removes and not failed:
        _remove_containers(policy, removes_volumes=removes_volumes, progress=progress)
        _remove(policy, is_user=is_user, progress=progress)
    return outcome([f"{policy.stack} of {policy.project}"], failed, [policy], is_user=is_user)


def _remove_containers(policy: InstalledPolicy, *, removes_volumes: bool, progress: Progress) -> None:
    containers = [service.container for service in policy.infra if service.container]
    if not containers:
        return
    from omnitron.programs.containers.engine import CannotError, EngineDownError, NamedContainer

    for container in containers:
        try:
            NamedContainer(container.name, container.volumes).remove(volumes=removes_volumes)
        except (CannotError, EngineDownError) as error:
            progress(ContainerLeft(container.name, str(error)))


def _remove(policy: InstalledPolicy, *, is_user: bool, progress: Progress) -> None:
    """Remove the files of a stack that has stopped, and what systemd remembers of it."""
    (scope,) = [scope for scope in scopes(is_user) if scope.policies == policy.path.parent]
    uninstall(scope, policy.stem, progress)
    forget(policy, scope.records)
    reset_failed([*policy.services, *(app.gate for app in policy.apps if app.gate)], is_user=is_user)
    units = [policy.slice, *(process.slice for app in policy.apps for process in app.processes)]
    places = [PACKAGED_WATCHER, *(place.units / WATCHER for place in scopes(is_user))]
    if not any(place.exists() for place in places):
        units.append(WATCHER)  # it went with the last stack
    run_steps([Step("stop", tuple(dict.fromkeys(reversed(units))), "removed")], is_user=is_user)
