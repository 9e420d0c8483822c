"""The order in which apps start: dependencies first, otherwise as declared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def start_order(depends_on: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the names so that each comes after all that it depends on; ties keep their order.

    Names that are not keys are passed over. There must be no cycle.
    """
    order: dict[str, None] = {}

    for name in depends_on:
        pending = [name]
        while pending:
            current = pending[-1]
            missing = [need for need in depends_on[current] if need in depends_on and need not in order]
            if missing:
                pending.append(missing[0])
            else:
                order.setdefault(current)
                pending.pop()
    return list(order)


def stop_order(depends_on: Mapping[str, Sequence[str]], priority: Mapping[str, int]) -> list[str]:
    """Return the names in the order in which they stop: lower priority first, dependents before what they need."""
    position = {name: index for index, name in enumerate(start_order(depends_on))}
    left = dict(depends_on)
    order = []
    while left:
        needed = {need for needs in left.values() for need in needs}
        free = [name for name in left if name not in needed]
        chosen = min(free, key=lambda name: (priority.get(name, 0), -position[name]))
        order.append(chosen)
        del left[chosen]
    return order
