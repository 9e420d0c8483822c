"""Trouble: its first cause, and the apps that it affects. Pure over reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from omnitron.observe.conditions import ConditionKind, text_of
from omnitron.observe.report import AppReport, ServiceReport, StackReport

TroubleKind = Literal["failed", "failing", "unreachable"]


@dataclass(frozen=True)
class Effect:
    """An app that does not run because of another's trouble."""

    app: str
    kind: Literal["blocked", "withGroup"]
    """Kept from starting, or gone down with the other."""
    through: tuple[str, ...]
    """The apps between the two, from the cause on."""


@dataclass(frozen=True)
class Trouble:
    """A service that has failed, or is failing, by itself: a first cause."""

    stack: StackReport
    address: str
    service: ServiceReport
    kind: TroubleKind
    """Given up, between a crash and the next start, or kept from starting by something outside."""
    critical: bool
    effects: tuple[Effect, ...]

    @property
    def app(self) -> str:
        """Name of its app."""
        address = self.stack.policy.address_of(self.service.unit)
        return address.app if address else self.service.unit

    @property
    def brief(self) -> str:
        """One line: what, and whom it affects."""
        affected = f"; so do not run: {', '.join(effect.app for effect in self.effects)}" if self.effects else ""
        return f"{self.address} {text_of(self.service.condition)}{affected}"


def troubles(stack: StackReport) -> list[Trouble]:
    """Return the first causes in a stack, in start order; empty when all is as it should be."""
    causes = []
    for app in stack.apps:
        for service in app.services if app.policy.enabled else ():
            kind = _kind(service)
            if kind:
                effects = tuple(_effects(stack, app, service))
                causes.append(Trouble(stack, _address(stack, service), service, kind, app.policy.critical, effects))
    return causes


FAILING = (ConditionKind.BACKING_OFF, ConditionKind.SELF_REPORTED_DEGRADED, ConditionKind.SELF_REPORTED_UNHEALTHY)
"""Of a service that starts; what one that runs reports of itself is a matter of its health."""


def _kind(service: ServiceReport) -> TroubleKind | None:
    kind = service.condition.kind if service.condition else None
    if service.status in ("crashed", "errored"):
        return "failed"
    if service.status == "starting" and kind in FAILING:
        return "failing"
    return "unreachable" if service.status == "stopped" and kind == ConditionKind.SOCKET_FAILED else None


def _effects(stack: StackReport, cause: AppReport, service: ServiceReport) -> list[Effect]:
    """Return the apps that follow from the trouble of `service`."""
    effects = []
    for app in stack.apps:
        first = next((item for item in app.services if item.follows), None)
        if first is None or app is cause:
            continue
        if first.follows == cause.policy.name:
            effects.append(Effect(app.policy.name, "blocked", tuple(_between(stack, app, cause.policy.name))))
        elif first.follows == service.unit:
            effects.append(Effect(app.policy.name, "withGroup", ()))
    return effects


def _between(stack: StackReport, app: AppReport, root: str) -> list[str]:
    """Return the apps by which `root` blocks `app`, from the root on."""
    by_name = {app_report.policy.name: app_report for app_report in stack.apps}
    for name in app.policy.depends_on:
        if name == root:
            return []
        need = by_name.get(name)
        if need and any(item.follows == root for item in need.services):
            return [*_between(stack, need, root), name]
    return []


def _address(stack: StackReport, service: ServiceReport) -> str:
    return stack.policy.full_address(service.unit)
