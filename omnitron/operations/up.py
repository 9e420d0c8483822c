"""`up`: a stack that runs as its definition says, or a report of what does not."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Sequence

from omnitron.errors import OmnitronError
from omnitron.install.installer import Prepared
from omnitron.install.scope import Scope
from omnitron.install.store import Store
from omnitron.names import GATEWAY, INFRA_PREFIX, WATCHER, unit_part
from omnitron.observe.report import ServiceReport, StackReport
from omnitron.operations import audit
from omnitron.operations.events import ContainerLeft, Progress, ServiceChanged, StepStarted, ignore
from omnitron.operations.install import install
from omnitron.operations.installed import reports, stacks, surplus
from omnitron.operations.jobs import perform, services_of, settle
from omnitron.operations.secret_stores import open_store
from omnitron.operations.steps import Step, restart_steps
from omnitron.planner.plan import Plan
from omnitron.policy.model import InstalledPolicy, Selection
from omnitron.systemd.journal_command import journal_command
from omnitron.systemd.local import runtime_folder
from omnitron.systemd.manager import JobEnd, Manager


def up(plan: Plan, scope: Scope, *, timeout_s: float, progress: Progress = ignore) -> StackReport:
    """Install the plan of one stack, stop what was removed, restart what changed and start what is new.

    Return the report of the stack once it is healthy or no longer changes, at the latest after `timeout_s`.
    """
    prepared = install(plan, scope, progress)
    target = f"{prepared[0].stem}.target"
    (policy,) = [policy for policy in stacks(is_user=scope.name == "user") if policy.target == target]
    audit.record_act("up", policy)
    return asyncio.run(_Up(plan, scope, policy, progress).run(prepared, timeout_s))


class _Up:
    """One run of `up` for one stack."""

    def __init__(self, plan: Plan, scope: Scope, policy: InstalledPolicy, progress: Progress) -> None:
        self._plan = plan
        self._scope = scope
        self._is_user = scope.name == "user"
        self._policy = policy
        self._progress = progress
        self._began = time.monotonic()

    async def run(self, prepared: Sequence[Prepared], timeout_s: float) -> StackReport:
        """Apply the plan, report what happens meanwhile, and return the state at the end."""
        jobs = asyncio.create_task(self._apply(prepared))
        try:
            report = await settle(
                self._report, is_busy=lambda: not jobs.done(), timeout_s=timeout_s, progress=self._changed
            )
        finally:
            if not jobs.done():
                jobs.cancel()
        if jobs.done():
            await jobs
        return report

    def _report(self) -> StackReport:
        return reports([self._policy], is_user=self._is_user)[0]

    def _changed(self, service: ServiceReport) -> None:
        self._progress(ServiceChanged(time.monotonic() - self._began, service))

    async def _apply(self, prepared: Sequence[Prepared]) -> None:
        """Stop, restart and start. How it went is seen in the states of the services."""
        policy = self._policy
        async with Manager(is_user=self._is_user) as manager:
            await self._remove_old(manager, prepared)
            await self._stop_surplus(manager)
            await self._reopen_secrets(manager)
            stale = await self._stale(manager)
            if WATCHER in stale:
                await self._run(manager, [Step("restart", (WATCHER,), "its definition changed")])
            await self._run(manager, restart_steps(policy, stale.__contains__))
            await asyncio.gather(*(manager.reset_failed(service) for service in policy.services))
            await perform(manager, [Step("start", (policy.target, WATCHER), "the stack starts")])
            await self._reload_gateway(manager)

    async def _run(self, manager: Manager, steps: Sequence[Step]) -> list[JobEnd]:
        """Run steps with an event for each; return the jobs that did not end well."""
        for step in steps:
            self._progress(StepStarted(step))
        return await perform(manager, steps)

    async def _remove_old(self, manager: Manager, prepared: Sequence[Prepared]) -> None:
        """Stop what the definition no longer has, and remove its files and containers."""
        removed = [change.unit for stack in prepared for change in stack.difference.changes if change.kind == "keep"]
        if not removed:
            return
        states = await manager.list_units(*(unit.replace("@.", "@*.") for unit in removed))
        active = [state.name for state in states if state.active not in ("inactive", "failed")]
        await self._run(manager, [Step("stop", tuple(active), "no longer in the definition")])
        await asyncio.to_thread(install, self._plan, self._scope, self._progress)
        await asyncio.to_thread(self._remove_containers, removed)

    def _remove_containers(self, removed: Sequence[str]) -> None:
        """Remove the containers of services that the definition no longer has; their volumes stay."""
        policy = self._policy
        if not any(unit.startswith(f"{policy.stem}-{INFRA_PREFIX}") for unit in removed) or not shutil.which("docker"):
            return
        # The library of the engine takes 70 ms to import, and most stacks have no container.
        from omnitron.programs.containers.engine import EngineDownError, remove_strays

        names = {service.container.name for service in policy.infra if service.container}
        try:
            remove_strays(policy.project, policy.stack, names)
        except EngineDownError as error:
            self._progress(ContainerLeft(None, str(error)))

    async def _stop_surplus(self, manager: Manager) -> None:
        selections = [Selection(self._policy, app, None, None) for app in self._policy.apps]
        units = await asyncio.to_thread(surplus, selections, is_user=self._is_user)
        if units:
            await self._run(manager, [Step("stop", tuple(units), "more instances than the definition has")])
            await asyncio.gather(*(manager.reset_failed(unit) for unit in units))

    async def _reopen_secrets(self, manager: Manager) -> None:
        """Have the secrets of a user's running stack opened anew: there may be others now."""
        states = await manager.list_units(self._policy.opener)
        active = tuple(state.name for state in states if state.active == "active")
        if active:
            await self._run(manager, [Step("reload", active, "secrets may have changed")])

    async def _stale(self, manager: Manager) -> set[str]:
        """Return the services that started before what they are run with last changed."""
        manifest = Store(self._scope).manifest(self._policy.stem)
        files = manifest.files if manifest else {}
        installed_at = {path.rpartition("/")[2]: entry.since for path, entry in files.items()}
        changed_at = await asyncio.to_thread(self._secret_changes)
        stale = set()
        for state in await manager.list_units(*self._policy.services, WATCHER):
            if state.active not in ("active", "activating", "reloading"):
                continue
            template = state.name.partition("@")[0] + "@.service" if "@" in state.name else state.name
            properties = await manager.properties(state)
            started = properties.get("ExecMainStartTimestamp", 0)
            if started and started < max(installed_at.get(template, 0), changed_at.get(state.name, 0)):
                stale.add(state.name)
        return stale

    def _secret_changes(self) -> dict[str, int]:
        """Return when the server passwords that a service uses were last set, in microseconds, by service."""
        processes = [process for app in self._policy.apps for process in app.processes]
        if not any(process.secrets for process in processes):
            return {}
        infos = open_store(self._scope, self._policy.stem, self._policy.project).list()
        changed_at = {info.name: round(1e6 * info.changed) for info in infos if info.name.startswith(INFRA_PREFIX)}
        return {
            service: max((changed_at.get(name, 0) for name in process.secrets), default=0)
            for process in processes
            for service in process.services
        }

    async def _reload_gateway(self, manager: Manager) -> None:
        """Have a running gateway take over a new configuration; OmnitronError when nginx refuses it."""
        unit = self._stale_gateway()
        if unit is None:
            return
        if await self._run(manager, [Step("reload", (unit,), "what it serves has changed")]):
            raise OmnitronError(
                "cannot use the gateway's new configuration: it runs on with the one before",
                hint=f"nginx says why: {self._journal_of(unit)}",
            )

    def _journal_of(self, unit: str) -> str:
        return journal_command(unit, is_user=self._is_user, namespace=self._policy.log_namespace)

    def _stale_gateway(self) -> str | None:
        """Return the unit of a gateway that runs with another configuration than the installed one."""
        policy = self._policy
        own = (unit_part(policy.prefix), unit_part(policy.stack), GATEWAY, "nginx.conf")
        try:
            used = runtime_folder(self._is_user).joinpath(*own).read_bytes()
            installed = (policy.path.parent / f"{policy.stem}.gateway/nginx.conf").read_bytes()
        except OSError:
            return None
        return f"{policy.stem}-{GATEWAY}.service" if used != installed else None


def failed_services(report: StackReport) -> list[ServiceReport]:
    """Return the services of enabled apps that should run and do not.

    A clean exit is not a crash: what has done its work and ended is as it should be.
    """
    return [service for service in services_of(report) if service.status != "online" and not has_ended(service)]


def has_ended(service: ServiceReport) -> bool:
    """Return whether a service has ended without an error and without being kept down."""
    return service.status == "stopped" and service.condition is None
