"""From a definition to what should be: every unit and file of every stack, as one value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from omnitron.definition.no_effect import without_effect
from omnitron.definition.project import App, Ecosystem
from omnitron.errors import DefinitionError, Problem
from omnitron.gateway.routes import Site
from omnitron.infra.resolve import Infra
from omnitron.names import GATEWAY
from omnitron.planner.checks import accounts, ports, unit_names
from omnitron.planner.facts import HostFacts, PathFact
from omnitron.planner.policy import compile_policy
from omnitron.planner.resolve.process import of_app
from omnitron.planner.resolve.watched_files import watched
from omnitron.planner.units import gateway, health_sweep, infra_service, journal, secrets, service
from omnitron.planner.units.health_gate import gate
from omnitron.planner.units.names import StackNames
from omnitron.planner.units.stack import Apps, units_of_app, units_of_stack
from omnitron.planner.units.values import Literal, Unit
from omnitron.planner.units.watcher import watcher
from omnitron.policy.model import StackPolicy


@dataclass(frozen=True)
class StackPlan:
    """All that belongs to one stack."""

    names: StackNames
    apps: Apps
    """Those that run here, servers of the stack among them."""
    infra: Infra
    site: Site | None
    """The site of its gateway, None without one."""
    claims: tuple[ports.Claim, ...]
    """The ports of its servers and its gateway."""
    app_claims: tuple[ports.Claim, ...]
    """The ports of its apps."""
    units: tuple[Unit, ...]
    policy: StackPolicy
    journal_settings: tuple[tuple[str, str], ...]
    """Settings of the stack's journal namespace, empty without one."""
    brings_bus: bool = False
    """True if what gives the watcher its place on the system's bus comes with it."""


@dataclass(frozen=True)
class Plan:
    """The plan of a definition on a host."""

    ecosystem: Ecosystem
    facts: HostFacts
    stacks: tuple[StackPlan, ...]
    warnings: tuple[str, ...]
    """One line each, for the user."""


def make_plan(ecosystem: Ecosystem, facts: HostFacts, chosen: Iterable[str] | None = None) -> Plan:
    """Return the plan of the chosen stacks, all when None; raises DefinitionError when one cannot be made."""
    selected = list(ecosystem.config.stacks if chosen is None else chosen)
    local = local_stacks(ecosystem, selected)
    plans = [_stack(ecosystem, name, facts) for name in local]
    others = {
        stem: ports for stem, ports in facts.assignments.ports.items() if stem not in {p.names.stem for p in plans}
    }
    problems = unit_names.problems(ecosystem, [unit.name for plan in plans for unit in plan.units], facts)
    port_warnings: list[Problem] = []
    for plan in plans:
        problems += _problems(ecosystem, plan, facts, others)
        port_warnings += ports.advice(ecosystem, plan.names, plan.app_claims, facts.assignments, others)
        others[plan.names.stem] = {claim.label: claim.port for claim in (*plan.claims, *plan.app_claims)}
    if problems:
        raise DefinitionError(problems)
    warnings = [str(problem) for problem in without_effect(ecosystem)]
    warnings += [str(problem) for plan in plans for problem in plan.infra.warnings]
    warnings += map(str, port_warnings)
    warnings += [_not_local(ecosystem, name) for name in selected if name not in local]
    warnings += [line for plan in plans for line in _advice(ecosystem, plan, facts)]
    if plans and not facts.has_packaged_watcher:
        units = (*plans[0].units, watcher(facts))
        plans[0] = replace(plans[0], units=units, brings_bus=not facts.is_user)
    return Plan(ecosystem, facts, tuple(plans), tuple(dict.fromkeys(warnings)))


def local_stacks(ecosystem: Ecosystem, chosen: Iterable[str] | None) -> list[str]:
    """Return those of the chosen stacks, all when None, that run on this host."""
    stacks = ecosystem.config.stacks
    return [name for name in (stacks if chosen is None else chosen) if stacks[name].type == "local"]


def _stack(ecosystem: Ecosystem, stack: str, facts: HostFacts) -> StackPlan:
    config = ecosystem.config
    with_namespace = journal.wants_namespace(config.logging) and not facts.is_user
    prefix = config.unit_prefix
    plain = StackNames(config.project, prefix, stack, Literal(str(ecosystem.path)), None, None)
    names = StackNames(
        config.project,
        prefix,
        stack,
        plain.source,
        plain.stem if with_namespace else None,
        None if config.supervision.strategy == "one_for_one" else plain.stem,
    )
    members = ecosystem.apps_of(stack)
    resolved = infra_service.infra_of(ecosystem, stack, facts)
    apps = dict(infra_service.processes(ecosystem, stack, resolved, facts))
    servers = list(apps)
    for app in members:
        apps[app.name] = of_app(ecosystem, stack, app, facts, resolved.environment.get(app.name, {}))
    site = gateway.site_of(ecosystem, stack, resolved, apps, facts)
    if site:
        apps[GATEWAY] = (gateway.process_of(ecosystem, stack, site, facts),)
    needed = frozenset(name for app in members for name in app.entry.depends_on if apps.get(name))
    disabled = frozenset(app.name for app in members if not app.entry.enabled)
    gates = list(infra_service.gates_of_host_units(names, resolved, facts))
    more = (*health_sweep.timers(names, apps), *(unit.name for unit in gates))
    units = list(units_of_stack(names, apps, disabled, more, facts))
    units += health_sweep.units(names, apps, facts)
    units += secrets.opener(names, apps, facts)
    for name in servers:
        units.append(gate(names, name, apps[name], facts))
        for process in apps[name]:
            needs = tuple(infra_service.needs_of_server(names, resolved, name))
            units += service.units_of(process, names, needs, facts)
    units += gates
    for process in apps[GATEWAY] if site else ():
        units += service.units_of(process, names, (), facts)
    for app in members:
        units += units_of_app(names, app.name, apps[app.name])
        if app.name in needed:
            units.append(gate(names, app.name, apps[app.name], facts))
        needs = (*infra_service.needs(names, resolved, app.name), *_needs(names, app, apps))
        for process in apps[app.name]:
            units += service.units_of(process, names, needs, facts)
    settings = tuple(journal.namespace_settings(config.logging)) if with_namespace else ()
    at_gateway = ports.Claim(GATEWAY, site.port, ecosystem.source, (*ecosystem.gateway_at, "port")) if site else None
    claims = ports.claims(resolved, at_gateway)
    of_apps = ports.of_apps(ecosystem, apps)
    policy = compile_policy(ecosystem, names, apps, needed, resolved, site, (*claims, *of_apps), facts)
    return StackPlan(names, apps, resolved, site, claims, of_apps, tuple(units), policy, settings)


def _needs(names: StackNames, app: App, apps: Apps) -> tuple[str, ...]:
    """Return what the processes of `app` start after: the gate of each dependency, and its services.

    A dependency of which nothing runs, in this version, has neither.
    """
    needs: list[str] = []
    for name in app.entry.depends_on:
        if processes := apps.get(name):
            needs.append(names.gate(name))
            needs += [unit for process in processes for unit in process.services]
    return tuple(needs)


def _problems(
    ecosystem: Ecosystem, plan: StackPlan, facts: HostFacts, others: Mapping[str, Mapping[str, int]]
) -> list[Problem]:
    """Return what is wrong with one stack; `others` are the ports of others, by stem and `service.port`."""
    problems = [*plan.infra.problems, *infra_service.problems(ecosystem, plan.infra, facts)]
    problems += ports.problems(plan.names, plan.claims, plan.apps, facts.assignments, others)
    problems += ports.beyond(plan.app_claims)
    problems += secrets.problems(ecosystem, plan.names, plan.infra, facts)
    if plan.site:
        problems += gateway.wrong(ecosystem, plan.infra, plan.site, facts)
    for name, processes in plan.apps.items():
        if name not in ecosystem.by_name:
            continue
        app = ecosystem.by_name[name]
        for process in processes:
            message = None if facts.is_user else accounts.problem(process, facts)
            if message:
                problems.append(app.source.problem(("apps", app.index, *message[0]), message[1]))
    counts = Counter(unit.name for unit in plan.units)
    for unit in plan.units:
        if counts[unit.name] > 1 and unit.app in ecosystem.by_name:
            app = ecosystem.by_name[unit.app]
            message_text = f"cannot name its units: {unit.name} would be there twice"
            problems.append(app.source.problem(("apps", app.index), message_text))
    return problems


def _unwatchable(folder: PathFact, owner: int | None) -> str | None:
    if folder.kind != "folder":
        return "no such folder"
    if owner is not None and folder.owner != owner:
        return (
            f"a file that defines the app belongs to uid {owner}, the folder does not; "
            f"chown the folder to {owner}, or that file to root"
        )
    return None


def _not_local(ecosystem: Ecosystem, stack: str) -> str:
    kind = ecosystem.config.stacks[stack].type
    message = f"has no effect in this version: no units are made for a {kind} stack"
    return str(ecosystem.source.problem(("stacks", stack, "type"), message))


def _advice(ecosystem: Ecosystem, plan: StackPlan, facts: HostFacts) -> list[str]:
    """Return what is allowed, and yet probably not meant."""
    lines = []
    if facts.accounts is not None and not facts.is_user and facts.helpers_owner:
        lines.append(
            f"{facts.helpers}: the helpers that root runs belong to {facts.helpers_owner}, who can change them; "
            "in production, install omnitron as root below /opt or /usr"
        )
    if facts.is_user and journal.wants_namespace(ecosystem.config.logging):
        lines.append(
            f"{ecosystem.path}: logging: a user's manager has no journal namespaces; "
            "logs go to the user's journal, without limits of their own"
        )
    for app in ecosystem.apps_of(plan.names.stack):
        for number, name in enumerate(app.entry.depends_on):
            if name in plan.apps and name in ecosystem.by_name and not ecosystem.by_name[name].entry.enabled:
                message = f"{name} is not enabled, and is started all the same: {app.name} needs it"
                lines.append(str(app.source.problem(("apps", app.index, "dependsOn", number), message)))
        named = watched(ecosystem, plan.names.stack, app, facts) if app.entry.watch else None
        if named:
            for folder in named.folders:
                if why := _unwatchable(facts.path(Path(folder)), named.owner):
                    problem = app.source.problem(("apps", app.index, "watch"), f"cannot watch {folder}: {why}")
                    lines.append(str(problem))
    offsets = ecosystem.config.stacks[plan.names.stack].settings.port_offsets
    for processes in plan.apps.values():
        for process in processes:
            own = [item.port for item in process.listeners if item.port and not item.activated]
            if own and offsets and offsets.apps and process.app in ecosystem.by_name:
                lines.append(
                    f"{ecosystem.path}: {process.app}:{process.name} opens its port itself: it has to be told, in "
                    f"settings.env of {plan.names.stack}, that it is {own[0]} there; or with socketActivation: true "
                    "it is given the socket"
                )
            shared = [listener for listener in process.listeners if not listener.activated]
            if (process.pool or 1) > 1 and shared:
                lines.append(
                    f"{ecosystem.path}: {process.app}:{process.name}: {process.pool} instances cannot all listen on "
                    f"port {shared[0].port} by themselves; with socketActivation: true they share one socket"
                )
    return lines
