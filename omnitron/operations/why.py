"""`why`: the causes of trouble in stacks, whom each affects, and what to do."""

from __future__ import annotations

from collections.abc import Iterable

from omnitron.observe.diagnosis import Trouble, troubles
from omnitron.observe.report import StackReport


def causes(reports: Iterable[StackReport], app: str | None = None) -> list[Trouble]:
    """Return the first causes of what does not run; of one app its own, and those that keep it from running."""
    return [
        trouble
        for report in reports
        for trouble in troubles(report)
        if app is None or app in (trouble.app, *(effect.app for effect in trouble.effects))
    ]


def effect_on(cause: Trouble, app: str) -> str:
    """Return how a cause reaches an app: `is blocked by mid, which is blocked by base`."""
    effect = next(effect for effect in cause.effects if effect.app == app)
    if effect.kind == "withGroup":
        return f"went down with {cause.app}: their group shares its failures"
    chain = [*reversed(effect.through), cause.app]
    return "is blocked by " + ", which is blocked by ".join(chain)


def cure(cause: Trouble) -> str:
    """Return what to do about a cause."""
    name = cause.address
    if cause.kind == "failed":
        return f"remove the cause, then: omnitron reset {name}"
    if cause.kind == "failing":
        return f"remove the cause; it is tried again by itself, or at once with: omnitron restart {name}"
    return f"free what it needs, then: omnitron start {name}"
