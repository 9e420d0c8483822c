"""Installation: the files of a plan written as one step, and read by systemd."""

from __future__ import annotations

import asyncio

from omnitron.install.installer import Prepared, commit, prepare, remove
from omnitron.install.scope import Scope
from omnitron.install.store import Store
from omnitron.operations.changes import running_units
from omnitron.operations.events import LockBusy, Progress, SecretStored, ignore
from omnitron.operations.secret_stores import open_store
from omnitron.planner.plan import Plan
from omnitron.secrets import from_environment, generated
from omnitron.systemd import local
from omnitron.systemd.manager import Manager


def install(plan: Plan, scope: Scope, progress: Progress = ignore) -> list[Prepared]:
    """Write what differs from what is installed, have systemd read it, and return the difference.

    Starts and stops nothing. Raises SystemdUnreachableError for a live scope without a manager: nothing is
    written then.
    """
    if scope.is_live and not local.bus_path(scope.name == "user").exists():
        raise local.unreachable(scope.name == "user", "there is no bus")
    store = Store(scope)

    def reload() -> None:
        reload_manager(scope)

    with store.locked(reload, lambda: progress(LockBusy())):
        prepared = prepare(plan, scope, running_units(scope, plan))
        if scope.is_live:
            _store_secrets(plan, scope, progress)
        commit(prepared, store, reload)
    return prepared


def uninstall(scope: Scope, stem: str, progress: Progress = ignore) -> None:
    """Remove the files of a stack; `stem` is `omnitron-dev`."""
    store = Store(scope)

    def reload() -> None:
        reload_manager(scope)

    with store.locked(reload, lambda: progress(LockBusy())):
        remove(store, stem, reload)


def reload_manager(scope: Scope) -> None:
    """Have systemd read the units again, where there is a manager to do so."""
    if not scope.is_live:
        return

    async def reload() -> None:
        async with Manager(is_user=scope.name == "user") as manager:
            await manager.reload()

    asyncio.run(reload())


def _store_secrets(plan: Plan, scope: Scope, progress: Progress) -> None:
    """Generate the secrets that only programs use, and store those that come in the environment of this process."""
    for stack in plan.stacks:
        used = dict.fromkeys(name for app in stack.apps.values() for process in app for name in process.secrets)
        if not used:
            continue
        store = open_store(scope, stack.names.stem, stack.names.project)
        generated.make(stack.infra.generated, store)
        for name in from_environment.keep([name for name in used if name not in stack.infra.generated], store):
            progress(SecretStored(stack.names.stack, name, from_environment.variable(name)))
