"""True if the ports that a stack takes are free: of its own apps, of other stacks, and of the rest of the host.

One of a server's is a problem: nobody wants another's database. One of an app's is told as advice: two stacks may be
meant to run one after the other, and what is replaced may still run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from omnitron import names
from omnitron.definition.project import Ecosystem
from omnitron.definition.source import KeyPath, Source
from omnitron.errors import Problem
from omnitron.infra.ports import HIGHEST
from omnitron.infra.resolve import Infra
from omnitron.planner.facts import Assignments
from omnitron.planner.units.names import StackNames
from omnitron.planner.units.stack import Apps


@dataclass(frozen=True)
class Claim:
    """A port that a server of the stack, its gateway or an app listens on."""

    label: str
    """`postgres.main`, `gateway`, `web:main.http` of an app."""
    port: int
    source: Source
    at: KeyPath
    """Its place in the definition."""


def of_apps(ecosystem: Ecosystem, apps: Apps) -> tuple[Claim, ...]:
    """Return the ports that the apps of a stack take."""
    return tuple(
        Claim(f"{name}:{process.name}.{item.kind}", item.port, app.source, ("apps", app.index))
        for name, processes in apps.items()
        if (app := ecosystem.by_name.get(name))
        for process in processes
        for item in process.listeners
        if item.port
    )


def claims(infra: Infra, gateway: Claim | None) -> tuple[Claim, ...]:
    """Return the ports that a stack takes beside those of its apps."""
    server_claims = [
        Claim(f"{placement.name}.{name}", port, placement.service.source, placement.service.at)
        for placement in infra.services
        if placement.is_ours
        for name, port in placement.ports.items()
    ]
    return (*server_claims, *([gateway] if gateway else []))


def problems(
    stack: StackNames,
    claimed: tuple[Claim, ...],
    apps: Apps,
    assignments: Assignments,
    others: Mapping[str, Mapping[str, int]],
) -> Iterator[Problem]:
    """Yield one problem for each port that is taken; `others` are those of other stacks, by stem and label."""
    used: dict[int, str] = {}
    for app, processes in apps.items():
        for listener in (item for process in processes for item in process.listeners if item.port):
            if not names.is_own(app):
                used.setdefault(listener.port, app)
    for claim in claimed:
        who = claim.label.partition(".")[0]
        owner = used.setdefault(claim.port, who)
        why = f"{owner} listens on it" if owner != who else _user_of(stack, claim, assignments, others)
        if why is None:
            continue
        cure = f"choose another, or set stacks.{stack.stack}.settings.portOffsets or portRange"
        yield claim.source.problem(claim.at, f"cannot give {who} port {claim.port}: {why}", cure)


def beyond(claimed: tuple[Claim, ...]) -> Iterator[Problem]:
    """Yield the ports of apps that an offset has moved beyond the last."""
    for claim in claimed:
        if claim.port > HIGHEST:
            message = f"cannot listen on port {claim.port}, the stack's offset included: the last is {HIGHEST}"
            yield claim.source.problem(claim.at, message, "lower stacks.*.settings.portOffsets.apps")


def advice(
    ecosystem: Ecosystem,
    stack: StackNames,
    claimed: tuple[Claim, ...],
    assignments: Assignments,
    others: Mapping[str, Mapping[str, int]],
) -> Iterator[Problem]:
    """Yield what keeps the apps of a stack from their ports: one line for another stack, one for each foreign port."""
    for stem, ports in others.items():
        if both := [claim for claim in claimed if claim.port in ports.values()]:
            named = ", ".join(f"{claim.port} ({claim.label.partition(':')[0]})" for claim in both)
            message = f"cannot run at the same time as {stem}: both have port {named}"
            cure = f"to run both, set stacks.{stack.stack}.settings.portOffsets.apps"
            yield ecosystem.source.problem(("stacks", stack.stack), message, cure)
    elsewhere = {port for ports in others.values() for port in ports.values()}
    for claim in claimed:
        if claim.port not in elsewhere and (why := _user_of(stack, claim, assignments, others)):
            message = f"cannot start {claim.label.partition(':')[0]} as long as port {claim.port} is taken: {why}"
            yield claim.source.problem(claim.at, message)


def _user_of(
    stack: StackNames, claim: Claim, assignments: Assignments, others: Mapping[str, Mapping[str, int]]
) -> str | None:
    """Say who else has a port: another stack, or somebody on this host who is not this stack."""
    for stem, ports in others.items():
        for label, port in ports.items():
            if port == claim.port:
                return f"it is that of {label} of {stem}"
    if claim.port in assignments.listening and claim.port not in assignments.ports.get(stack.stem, {}).values():
        return f"something on this host listens on it: ss -ltnp 'sport = :{claim.port}'"
    return None
