"""Events of a use case under way: what a caller shows while it waits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from omnitron.observe.report import ServiceReport
from omnitron.operations.steps import Step


@dataclass(frozen=True)
class LockBusy:
    """Another process writes the same files: this one waits until it has finished."""


@dataclass(frozen=True)
class StepStarted:
    """Jobs of a step are queued."""

    step: Step


@dataclass(frozen=True)
class StepDone:
    """All jobs of a step ended well."""

    step: Step


@dataclass(frozen=True)
class ServiceChanged:
    """A service has changed its state."""

    after: float
    """Seconds since the use case began."""
    service: ServiceReport


@dataclass(frozen=True)
class SecretStored:
    """A secret was taken over from the environment of this process."""

    stack: str
    name: str
    variable: str


@dataclass(frozen=True)
class ContainerLeft:
    """A container that is no longer needed could not be removed."""

    name: str | None
    """None where the engine did not list them."""
    reason: str


@dataclass(frozen=True)
class DirectiveIgnored:
    """A directive of a unit has no effect on a transient unit made of it."""

    directive: str
    unit: str


@dataclass(frozen=True)
class OutOfMemory:
    """A program was killed because it used too much memory."""

    program: str


Event = (
    LockBusy | StepStarted | StepDone | ServiceChanged | SecretStored | ContainerLeft | DirectiveIgnored | OutOfMemory
)
Progress = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Show nothing."""
