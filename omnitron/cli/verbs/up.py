"""`omnitron up`: make a stack run as the definition says."""

from __future__ import annotations

import asyncio
import shutil
import time
from typing import TYPE_CHECKING, Annotated

import typer

from omnitron.cli import output
from omnitron.cli.arguments import Config, Debug, Json, OptionalStack, Runtime, User
from omnitron.cli.context import load_ecosystem, make_plan, make_scope, one_stack, secret_store
from omnitron.cli.selection import installed, reports, surplus
from omnitron.cli.verbs.generate import install
from omnitron.errors import OmnitronError
from omnitron.names import INFRA, WATCHER

if TYPE_CHECKING:
    from omnitron.install.installer import Prepared
    from omnitron.install.scope import Scope
    from omnitron.observe.report import ServiceReport, StackReport
    from omnitron.operations.steps import Step
    from omnitron.planner.plan import Plan
    from omnitron.policy.model import InstalledPolicy, StackPolicy
    from omnitron.systemd.manager import JobEnd, Manager

Timeout = Annotated[float, typer.Option("--timeout", help="Longest time to wait until it is healthy, in seconds.")]


def up_command(
    stack: OptionalStack = None,
    user: User = False,
    runtime: Runtime = False,
    timeout: Timeout = 300.0,
    config: Config = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Generate, then stop what was removed, restart what changed and start what is new.

    Returns when the stack is healthy; else says what is not, and exits with 1.
    """
    scope = make_scope(user=user, runtime=runtime)
    name = one_stack(stack, _local_stacks())
    plan = make_plan(scope, None, [name], installs=True)
    prepared = install(plan, scope)
    for text in plan.warnings:
        output.warn(text)
    (policy,) = [p for p in installed(is_user=scope.name == "user") if p.target == f"{prepared[0].stem}.target"]
    report = asyncio.run(_bring_up(plan, prepared, policy, scope, timeout))
    _finish(report)


def _local_stacks() -> list[str]:
    return [name for name, stack in load_ecosystem().config.stacks.items() if stack.type == "local"]


async def _bring_up(
    plan: Plan, prepared: list[Prepared], policy: InstalledPolicy, scope: Scope, timeout: float
) -> StackReport:
    """Carry out what is to be done, tell of what happens meanwhile, and return the state at the end."""
    from omnitron.operations.jobs import settle

    began = time.monotonic()

    def take() -> StackReport:
        return reports([policy], is_user=scope.name == "user")[0]

    def progress(service: ServiceReport) -> None:
        if not output.wants_json():
            note = f": {service.note}" if service.note else ""
            output.progress(f"  {time.monotonic() - began:5.1f} s  {service.unit} is {service.status}{note}")

    jobs = asyncio.create_task(_apply(plan, prepared, policy, scope))
    try:
        report = await settle(take, is_busy=lambda: not jobs.done(), timeout_s=timeout, progress=progress)
    finally:
        if not jobs.done():
            jobs.cancel()
    if jobs.done():
        await jobs
    return report


async def _apply(plan: Plan, prepared: list[Prepared], policy: InstalledPolicy, scope: Scope) -> None:
    """Stop, restart and start. How it went is seen in the states of the services."""
    from omnitron.operations.jobs import perform
    from omnitron.operations.steps import Step, restart_steps
    from omnitron.systemd.manager import Manager

    removed = [change.unit for stack in prepared for change in stack.difference.changes if change.kind == "keep"]
    async with Manager(is_user=scope.name == "user") as manager:
        if removed:
            names = await _running(manager, removed)
            await _say(manager, [Step("stop", tuple(names), "no longer in the definition")])
            await asyncio.to_thread(install, plan, scope)
            await asyncio.to_thread(_remove_containers, removed, policy)
        extra = await asyncio.to_thread(_surplus, policy, scope.name == "user")
        await _say(manager, [Step("stop", tuple(extra), "more instances than the definition has")] if extra else [])
        await _reopen(manager, policy)
        stale = await _stale(manager, policy, scope)
        if WATCHER in stale:
            await _say(manager, [Step("restart", (WATCHER,), "its definition changed")])
        await _say(manager, restart_steps(policy, stale.__contains__))
        await asyncio.gather(*(manager.reset_failed(service) for service in policy.services))
        await perform(manager, [Step("start", (policy.target, WATCHER), "the stack starts")])
        if gateway := _stale_gateway(policy, scope):
            step = Step("reload", (gateway,), "what it serves has changed")
            if await _say(manager, [step]):
                raise OmnitronError(
                    "cannot use the gateway's new configuration: it runs on with the one before",
                    hint=f"nginx says why: journalctl -e -u {gateway}",
                )


async def _reopen(manager: Manager, policy: StackPolicy) -> None:
    """Have the secrets of a user's running stack opened anew: there may be others now."""
    from omnitron.operations.steps import Step

    opener = [state.name for state in await manager.list_units(policy.opener) if state.active == "active"]
    if opener:
        await _say(manager, [Step("reload", tuple(opener), "secrets may have changed")])


def _stale_gateway(policy: InstalledPolicy, scope: Scope) -> str | None:
    """Return the unit of a gateway that runs with another configuration than what is installed now."""
    from omnitron.names import GATEWAY, unit_part
    from omnitron.systemd.local import runtime_folder

    own = (unit_part(policy.prefix), unit_part(policy.stack), GATEWAY, "nginx.conf")
    try:
        used = runtime_folder(scope.name == "user").joinpath(*own).read_bytes()
        installed_now = (policy.path.parent / f"{policy.stem}.gateway/nginx.conf").read_bytes()
    except OSError:
        return None
    return f"{policy.stem}-{GATEWAY}.service" if used != installed_now else None


def _remove_containers(removed: list[str], policy: StackPolicy) -> None:
    """Remove the containers of services that the definition no longer has; their volumes stay."""
    from omnitron.names import INFRA

    if not any(unit.startswith(f"{policy.stem}-{INFRA}") for unit in removed) or not shutil.which("docker"):
        return
    from omnitron.programs.containers.engine import EngineDownError, remove_strays

    known = {one.container.name for one in policy.infra if one.container}
    try:
        remove_strays(policy.project, policy.stack, known)
    except EngineDownError as error:
        output.warn(f"a container that is no longer needed may be left: {error}")


def _surplus(policy: StackPolicy, is_user: bool) -> list[str]:
    from omnitron.policy.model import Selection

    return surplus([Selection(policy, app, None, None) for app in policy.apps], is_user=is_user)


async def _say(manager: Manager, steps: list[Step]) -> list[JobEnd]:
    """Carry out steps and tell of them; return the jobs that did not end well."""
    from omnitron.operations.jobs import perform

    for step in steps:
        for unit in step.units if not output.wants_json() else ():
            output.progress(f"  {step.verb} {unit}: {step.reason}")
    return await perform(manager, steps)


async def _running(manager: Manager, units: list[str]) -> list[str]:
    """Return the units, with the running instances in place of templates."""
    patterns = [unit.replace("@.", "@*.") for unit in units]
    states = await manager.list_units(*patterns)
    return [state.name for state in states if state.active not in ("inactive", "failed")]


async def _stale(manager: Manager, policy: StackPolicy, scope: Scope) -> set[str]:
    """Return the services that started before what they are run with last changed."""
    from omnitron.install.store import Store

    manifest = Store(scope).manifest(policy.target.removesuffix(".target"))
    since = {path.rpartition("/")[2]: entry.since for path, entry in (manifest.files if manifest else {}).items()}
    changed = await asyncio.to_thread(_secrets_changed, policy, scope)
    stale = set()
    states = await manager.list_units(*policy.services, WATCHER)
    for state in states:
        if state.active not in ("active", "activating", "reloading"):
            continue
        template = state.name.partition("@")[0] + "@.service" if "@" in state.name else state.name
        properties = await manager.properties(state)
        started = properties.get("ExecMainStartTimestamp", 0)
        if started and started < max(since.get(template, 0), changed.get(state.name, 0)):
            stale.add(state.name)
    return stale


def _secrets_changed(policy: StackPolicy, scope: Scope) -> dict[str, int]:
    """Return when the passwords of servers that a service is given were last set, in microseconds, by service."""
    processes = [process for app in policy.apps for process in app.processes]
    if not any(process.secrets for process in processes):
        return {}
    kept = secret_store(scope, policy.stem, policy.project).list()
    at = {one.name: round(1e6 * one.changed) for one in kept if one.name.startswith(INFRA)}
    return {
        service: max((at.get(name, 0) for name in process.secrets), default=0)
        for process in processes
        for service in process.services
    }


def _finish(report: StackReport) -> None:
    from omnitron.observe.status_json import daemon_status
    from omnitron.operations.jobs import services_of

    services = services_of(report)
    # A clean exit is not a crash: what has done its work and ended is as it should be.
    ended = [service for service in services if service.status == "stopped" and not service.note]
    wrong = [service for service in services if service.status != "online" and service not in ended]
    if output.wants_json():
        output.data(daemon_status([report], uptime=0, pid=1)["apps"])
    elif wrong:
        for service in wrong:
            output.note(f"{output.paint('error:', 'red')} {service.unit} is {service.status}: {service.note}")
        output.note(f"       see: journalctl -e -u {wrong[0].unit}")
    else:
        rest = f", {len(ended)} ended without an error" if ended else ""
        name = f"{report.policy.stack} of {report.policy.project}"
        output.line(f"{name} is up: {output.count(len(services) - len(ended), 'running service')}{rest}")
        if report.policy.log_namespace:
            output.line(f"logs: journalctl --namespace={report.policy.log_namespace} -e")
    if wrong:
        raise typer.Exit(1)
