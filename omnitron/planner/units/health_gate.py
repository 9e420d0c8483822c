"""Health gates: units that open when an app is healthy, for the apps that depend on it."""

from __future__ import annotations

from omnitron.planner.facts import HostFacts
from omnitron.planner.resolve.process import PlannedProcess
from omnitron.planner.units.names import StackNames
from omnitron.planner.units.values import Command, Literal, Unit, Value


def gate(stack: StackNames, app: str, processes: tuple[PlannedProcess, ...], facts: HostFacts) -> Unit:
    """Return the unit that opens when every process of `app` is active, for those that depend on it."""
    return gate_of(stack, app, [service for process in processes for service in process.services], facts)


def gate_of(
    stack: StackNames, app: str, services: list[str], facts: HostFacts, health_check: Command | None = None
) -> Unit:
    """Return the unit that opens when all of `services`, which `app` consists of, are active.

    `health_check` is a command that must succeed then.
    """
    user = ("--user",) if facts.is_user else ()
    values: dict[str, Value] = {
        "source": stack.source,
        "description": Literal(f"{stack.stack}/{app} is healthy"),
        "part_of": stack.stack_target,
        "wants": tuple(services) or None,
        "after": tuple(services) or None,
        "slice": stack.stack_slice,
        "exec_start": Command(("/bin/sh", str(facts.helpers / "health_gate.sh"), *user, *services)),
        "exec_start_post": health_check,
        **stack.identity(app),
    }
    return Unit(stack.gate(app), "gate", values, app)
