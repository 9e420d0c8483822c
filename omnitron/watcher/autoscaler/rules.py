"""Rules for the number of instances of a pool by its load. Pure."""

from __future__ import annotations

import math
from typing import NamedTuple

FULL = 0.8
"""A pool is too small above this share of its capacity, which is two calls at a time for each instance."""
CALLS_EACH = 2
IDLE_CPU, IDLE_MEMORY, IDLE_CALLS = 0.4, 0.5, 0.3
"""Shares of the targets below which one instance is stopped."""
LONGEST_PAUSE_S = 300.0


class Rules(NamedTuple):
    """The limits of a pool: number of instances, and targets for CPU (per cent), memory (per cent), pending calls."""

    least: int
    most: int
    target_cpu: float
    target_memory: float
    queue_threshold: int
    cooldown_s: float


class Load(NamedTuple):
    """The load of a pool: number of online instances, average CPU (per cent of one CPU) and memory (per cent of the
    limit) of an instance, pending calls in all. None for values that are not available.
    """

    instances: int
    cpu: float | None
    memory: float | None
    pending: int | None


class Past(NamedTuple):
    """The time of the last change (monotonic seconds), and the number of failed changes in a row."""

    changed_at: float = -math.inf
    failures: int = 0


class Decision(NamedTuple):
    """The new number of instances, and the reason."""

    instances: int
    reason: str


def decide(rules: Rules, load: Load, past: Past, now: float) -> Decision | None:
    """Return the change to make, None for no change. `now` is in monotonic seconds.

    After a change there is a pause, because the earlier load does not apply any more. Each failed change doubles it.
    """
    pause = max(rules.cooldown_s, min(LONGEST_PAUSE_S, rules.cooldown_s * 2 ** min(past.failures, 10)))
    if load.instances == 0 or now - past.changed_at < pause:
        return None
    more = _too_much(rules, load)
    if more:
        step, reason = more
        instances = min(rules.most, load.instances + step)
        return Decision(instances, reason) if instances > load.instances else None
    if load.instances > rules.least and _is_idle(rules, load):
        return Decision(load.instances - 1, f"little to do for {load.instances} instances")
    return None


def _too_much(rules: Rules, load: Load) -> tuple[int, str] | None:
    """Return the number of instances to add, and the reason; None if the load is not too high."""
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
