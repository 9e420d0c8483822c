"""Whether the ports that a stack takes are free: of its own apps, of other stacks, and of the rest of the host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from omnitron import names
from omnitron.definition.source import KeyPath, Source
from omnitron.errors import Problem
from omnitron.infra.resolved import Infra
from omnitron.planner.facts import PortFacts
from omnitron.planner.groups import Apps
from omnitron.planner.layout import StackNames


@dataclass(frozen=True)
class Claim:
    """A port that a server of the stack or its gateway listens on."""

    label: str
    """`postgres.main`, `gateway`."""
    port: int
    source: Source
    at: KeyPath
    """Where that is said."""


def claims(infra: Infra, gateway: Claim | None) -> tuple[Claim, ...]:
    """Return the ports that a stack takes beside those of its apps."""
    found = [
        Claim(f"{placed.name}.{name}", port, placed.service.source, placed.service.at)
        for placed in infra.services
        if placed.is_ours
        for name, port in placed.ports.items()
    ]
    return (*found, *([gateway] if gateway else []))


def problems(
    stack: StackNames, claimed: tuple[Claim, ...], apps: Apps, facts: PortFacts, others: Mapping[str, Mapping[str, int]]
) -> Iterator[Problem]:
    """Yield one problem for each port that is taken; `others` are those of other stacks, by stem and label."""
    taken: dict[int, str] = {}
    for app, processes in apps.items():
        for listener in (one for process in processes for one in process.listeners if one.port):
            if not names.is_own(app):
                taken.setdefault(listener.port, app)
    before = facts.remembered.get(stack.stem, {})
    elsewhere = {port: f"{label} of {stem}" for stem, ports in others.items() for label, port in ports.items()}
    for claim in claimed:
        who = claim.label.partition(".")[0]
        owner = taken.setdefault(claim.port, who)
        if owner != who:
            why = f"{owner} listens on it"
        elif held := elsewhere.get(claim.port):
            why = f"it is that of {held}"
        elif claim.port in facts.listening and claim.port not in before.values():
            why = f"something on this host listens on it: ss -ltnp 'sport = :{claim.port}'"
        else:
            continue
        cure = f"choose another, or set stacks.{stack.stack}.settings.portOffsets or portRange"
        yield claim.source.problem(claim.at, f"cannot give {who} port {claim.port}: {why}", cure)
