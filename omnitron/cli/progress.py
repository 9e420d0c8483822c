"""Events of a use case, printed as they happen; for programs nothing but warnings is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omnitron.cli import output
from omnitron.operations.events import (
    ContainerLeft,
    DirectiveIgnored,
    LockBusy,
    OutOfMemory,
    SecretStored,
    ServiceChanged,
    StepDone,
    StepStarted,
)

if TYPE_CHECKING:
    from omnitron.operations.events import Event


def show(event: Event) -> None:
    """Print one event."""
    match event:
        case LockBusy():
            output.note("another omnitron is writing units here: waiting until it is done")
        case SecretStored(stack, name, variable):
            output.note(f"stored the secret {name} of {stack}, from {variable}")
        case ContainerLeft(None, reason):
            output.warn(f"a container that is no longer needed may be left: {reason}")
        case ContainerLeft(container, reason):
            output.warn(f"the container {container} is left: {reason}")
        case DirectiveIgnored(directive, unit):
            output.warn(f"{directive}= of {unit} has no effect here: it cannot be given to a transient unit")
        case OutOfMemory(program):
            output.warn(f"{program} was killed: out of memory")
        case _ if output.wants_json():
            return
        case StepStarted(step):
            for unit in step.units:
                output.progress(f"  {step.verb} {unit}: {step.reason}")
        case StepDone(step):
            output.progress(f"reloaded {' '.join(step.units)}")
        case ServiceChanged(after, service):
            note = f": {service.condition.text}" if service.condition else ""
            output.progress(f"  {after:5.1f} s  {service.unit} is {service.status}{note}")
