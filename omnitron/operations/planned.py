"""A process of a plan by its address."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from omnitron.errors import UsageError
from omnitron.names import Address, parse_address

if TYPE_CHECKING:
    from omnitron.planner.plan import Plan, StackPlan
    from omnitron.planner.resolve.process import PlannedProcess


def find_process(plan: Plan, text: str) -> tuple[StackPlan, PlannedProcess]:
    """Return the process that an address means; of an app with several, its first."""
    address = parse_address(text)
    if address is None:
        raise UsageError(f"cannot read {text!r} as an address: it has the form [stack/]app[:process][@instance]")
    matches = [
        (stack, process)
        for stack in plan.stacks
        for processes in stack.apps.values()
        for process in processes
        if Address(address.stack, address.app, address.process).matches(
            Address(stack.names.stack, process.app, process.name)
        )
    ]
    if not matches:
        addresses = [f"{stack.names.stack}/{app}" for stack in plan.stacks for app in stack.apps]
        names = {name.rpartition("/")[2]: name for name in addresses}
        near = difflib.get_close_matches(address.app, names, 1)
        hint = f"did you mean {names[near[0]]}?" if near else f"there is {', '.join(addresses)}"
        raise UsageError(f"cannot find {text!r} in the definition", hint=hint)
    stacks = list(dict.fromkeys(stack.names.stack for stack, _ in matches))
    if len(stacks) > 1:
        candidates = ", ".join(f"{name}/{address.app}" for name in stacks)
        raise UsageError(f"cannot tell which {text!r} is meant: {candidates}", hint="name one of these")
    return matches[0]
