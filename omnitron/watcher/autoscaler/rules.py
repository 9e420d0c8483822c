"""How many instances of a pool the load asks for. Pure."""

from __future__ import annotations

import math
from typing import NamedTuple

FULL = 0.8
"""Share of calls that a pool is made for, from which on it is too small: two at a time for each instance."""
CALLS_EACH = 2
IDLE_CPU, IDLE_MEMORY, IDLE_CALLS = 0.4, 0.5, 0.3
"""Shares of the targets below which one instance fewer would do."""
LONGEST_PAUSE_S = 300.0


class Rules(NamedTuple):
    """The bounds of a pool, and what each instance should stay below: per cent, per cent of its limit, calls."""

    least: int
    most: int
    target_cpu: float
    target_memory: float
    queue_threshold: int
    cooldown_s: float


class Load(NamedTuple):
    """What the instances do: how many are online, CPU (per cent of one) and memory (per cent of the limit) of each
    on average, and calls that are pending in all. None for what is not known.
    """

    instances: int
    cpu: float | None
    memory: float | None
    pending: int | None


class Past(NamedTuple):
    """When the number last changed (monotonic seconds), and how often in a row a change has failed since."""

    changed_at: float = -math.inf
    failures: int = 0


class Decision(NamedTuple):
    """How many instances there should be, and why."""

    instances: int
    reason: str


def decide(rules: Rules, load: Load, past: Past, now: float) -> Decision | None:
    """Return what to change, None for nothing. `now` in monotonic seconds.

    One step at a time: after a change the load of before says little. A change that failed is tried again later
    and later.
    """
    pause = max(rules.cooldown_s, min(LONGEST_PAUSE_S, rules.cooldown_s * 2 ** min(past.failures, 10)))
    if load.instances == 0 or now - past.changed_at < pause:
        return None
    more = _too_much(rules, load)
    if more:
        step, reason = more
        wanted = min(rules.most, load.instances + step)
        return Decision(wanted, reason) if wanted > load.instances else None
    if load.instances > rules.least and _is_idle(rules, load):
        return Decision(load.instances - 1, f"little to do for {load.instances} instances")
    return None


def _too_much(rules: Rules, load: Load) -> tuple[int, str] | None:
    """Return by how many instances the load is too much, and what of it."""
    if load.pending is not None and load.pending > rules.queue_threshold:
        step = max(1, math.ceil(load.pending / rules.queue_threshold))
        return step, f"{load.pending} calls are pending, more than {rules.queue_threshold}"
    if load.cpu is not None and load.cpu > rules.target_cpu:
        return 1, f"CPU is at {load.cpu:.0f} % for each instance, above {rules.target_cpu:g} %"
    if load.memory is not None and load.memory > rules.target_memory:
        return 1, f"memory is at {load.memory:.0f} % of the limit, above {rules.target_memory:g} %"
    if load.pending is not None and load.pending > FULL * CALLS_EACH * load.instances:
        return 1, f"{load.pending} calls are pending for {load.instances} instances"
    return None


def _is_idle(rules: Rules, load: Load) -> bool:
    return (
        load.cpu is not None
        and load.cpu < IDLE_CPU * rules.target_cpu
        and (load.memory is None or load.memory < IDLE_MEMORY * rules.target_memory)
        and (load.pending is None or load.pending < IDLE_CALLS * CALLS_EACH * load.instances)
    )
