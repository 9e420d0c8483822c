"""Conditions: why a service is not online, or not all well. A code for what decides, and a sentence for people.

Here a condition becomes a sentence, with the words of the crash record where a process was given up. Nothing reads a
sentence back: what decides goes by `Condition.kind`. The codes are published, in JSON and on the bus, so they stay as
they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from omnitron.supervision.state.group_state import GROUP_STOPPED, Reason


class ConditionKind(StrEnum):
    """Every condition that a service can be in; a service that is as it should be is in none."""

    GIVEN_UP = "givenUp"
    """Its restart budget is used up; `detail` is how it ended and how often."""
    FAILED = "failed"
    """It has failed in a way that nobody counted."""
    UNIT_REFUSED = "unitRefused"
    """systemd cannot use its unit file; `by` is the unit."""
    CHECKS_FAILING = "checksFailing"
    """It runs, and the last of its health checks have failed: `failures` of `retries`, `detail` the last answer."""
    SELF_REPORTED_DEGRADED = "selfReportedDegraded"
    """Its own health check reports it so; `detail` in its own words."""
    SELF_REPORTED_UNHEALTHY = "selfReportedUnhealthy"
    """Its own health check reports it so; `detail` in its own words."""
    BLOCKED = "blocked"
    """A dependency keeps it from starting; `by` is the app at the root."""
    GROUP_RESTARTING = "groupRestarting"
    """It is down until the process of its group that crashed, `by`, runs again."""
    GROUP_STOPPED = "groupStopped"
    """It was ended with its group; `by` is the process that was given up, `detail` how that ended."""
    SOCKET_FAILED = "socketFailed"
    """Its socket unit, `by`, has failed, so nothing starts it; `port` is where it listens."""
    BACKING_OFF = "backingOff"
    """It has crashed, and waits for its next start, in `starts_in_s`; `restarts_left` until it is given up."""
    STARTING = "starting"
    """It starts; `detail` in its own words."""
    NOT_ENABLED = "notEnabled"
    """Its app starts only when it is started by name."""
    OTHER = "other"
    """A condition of another version, for which this one has no code; `detail` is its sentence."""


@dataclass(frozen=True)
class Condition:
    """One condition: its code and what it is about. What a kind has no use for is None, or empty."""

    kind: ConditionKind
    by: str | None = None
    """The address that it comes from (`dev/db`), or the name of a unit that is no process of the stack."""
    detail: str = ""
    failures: int | None = None
    retries: int | None = None
    restarts_left: int | None = None
    starts_in_s: float | None = None
    port: int | None = None

    @property
    def text(self) -> str:
        """The sentence, for people only."""
        return sentence(self)

    def as_data(self) -> dict[str, Any]:
        """Return what is published of it: the code, what it is about as far as there is any, and the sentence."""
        values = {
            "by": self.by,
            "detail": self.detail or None,
            "failures": self.failures,
            "retries": self.retries,
            "restartsLeft": self.restarts_left,
            "startsIn": None if self.starts_in_s is None else round(1000 * self.starts_in_s),
            "port": self.port,
        }
        about = {key: value for key, value in values.items() if value is not None}
        return {"kind": self.kind.value, **about, "text": self.text}


def as_data(condition: Condition | None) -> dict[str, Any] | None:
    """Return what is published of a condition, or of there being none."""
    return condition.as_data() if condition else None


def text_of(condition: Condition | None) -> str:
    """Return the sentence of a condition, empty when there is none."""
    return condition.text if condition else ""


def of_reason(reason: Reason, by: str) -> Condition:
    """Return the condition of what was ended with others; `by` is the address of the unit that was given up."""
    if reason.kind == GROUP_STOPPED:
        return Condition(ConditionKind.GROUP_STOPPED, by, reason.cause)
    return Condition(ConditionKind.OTHER, by, reason.text)


def sentence(condition: Condition) -> str:
    """Return the sentence of a condition, without a full stop."""
    return _SENTENCES[condition.kind](condition)


def _in_stack(address: str | None) -> str:
    """Return an address as people write it inside the stack."""
    return (address or "").rpartition("/")[2]


def _own_report(state: str, words: str) -> str:
    return f"says that it is {state}" + (f": {words}" if words else "")


_SENTENCES: Mapping[ConditionKind, Callable[[Condition], str]] = {
    ConditionKind.GIVEN_UP: lambda it: it.detail,
    ConditionKind.FAILED: lambda it: "failed: see `omnitron logs`",
    ConditionKind.UNIT_REFUSED: lambda it: f"systemd refuses its unit: see `systemctl status {it.by}`",
    ConditionKind.CHECKS_FAILING: lambda it: f"{it.failures} of {it.retries} health checks failed: {it.detail}",
    ConditionKind.SELF_REPORTED_DEGRADED: lambda it: _own_report("degraded", it.detail),
    ConditionKind.SELF_REPORTED_UNHEALTHY: lambda it: _own_report("unhealthy", it.detail),
    ConditionKind.BLOCKED: lambda it: f"blocked by {_in_stack(it.by)}",
    ConditionKind.GROUP_RESTARTING: lambda it: f"restarts with {_in_stack(it.by)}, which crashed",
    ConditionKind.GROUP_STOPPED: lambda it: f"ended with {_in_stack(it.by)}, which {it.detail}",
    ConditionKind.SOCKET_FAILED: lambda it: f"{it.by} has failed: is port {it.port} taken?",
    ConditionKind.BACKING_OFF: lambda it: (
        f"crashed; next start in {it.starts_in_s:.0f} s, {it.restarts_left} more until it is given up"
    ),
    ConditionKind.STARTING: lambda it: it.detail,
    ConditionKind.NOT_ENABLED: lambda it: "not enabled",
    ConditionKind.OTHER: lambda it: it.detail,
}
