"""Works out the restart policy of a process from every level that says something about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from omnitron.definition.ecosystem import Supervision
from omnitron.definition.process import Backoff, RestartPolicy


@dataclass(frozen=True)
class Restarts:
    """The restart policy of a process. Times in milliseconds."""

    enabled: bool
    restart: Literal["on-failure", "always"]
    max_restarts: int
    window: int
    backoff: Backoff
    grouped: bool = False
    """True if the restart of others follows from its crash."""
    critical: bool = False
    """True if the end of its stack follows from its final crash: which one that is, systemd does not say."""

    @property
    def has_delay(self) -> bool:
        """Return whether a helper waits before the next start."""
        return self.enabled and self.backoff.initial > 0

    @property
    def has_record(self) -> bool:
        """Return whether a helper counts the crashes. For one process without a delay systemd's own limit will do."""
        return self.enabled and (self.backoff.initial > 0 or self.grouped or self.critical)

    @property
    def budget_text(self) -> str:
        """`5:60000`, as the helpers read it."""
        return f"{self.max_restarts}:{self.window}"

    @property
    def backoff_text(self) -> str:
        """`exponential:1000:30000:2`, as the helpers read it."""
        return f"{self.backoff.type}:{self.backoff.initial}:{self.backoff.max}:{self.backoff.factor:g}"


def resolve(supervision: Supervision, policies: Iterable[RestartPolicy | None]) -> Restarts:
    """Merge policies over the ecosystem's supervision, field by field, the last one winning.

    So does a `backoff` that gives some of its fields. A `delay` without one beside it is a fixed delay.
    """
    grouped = supervision.strategy != "one_for_one"
    merged = Restarts(True, "on-failure", supervision.max_restarts, supervision.window, supervision.backoff, grouped)
    for policy in policies:
        if policy is None:
            continue
        fixed = None if policy.delay is None else Backoff(type="fixed", initial=policy.delay, max=policy.delay)
        own = policy.backoff
        values = None if own is None else {name: getattr(own, name) for name in own.model_fields_set}
        fields: dict[str, Any] = {
            "enabled": policy.enabled,
            "restart": policy.restart,
            "max_restarts": policy.max_restarts,
            "window": policy.window,
            "backoff": fixed if values is None else merged.backoff.model_copy(update=values),
        }
        merged = replace(merged, **{name: value for name, value in fields.items() if value is not None})
    return merged
