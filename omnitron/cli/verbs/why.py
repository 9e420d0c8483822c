"""`omnitron why`: what is not as it should be, and why."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from omnitron.cli import log_output, output
from omnitron.cli.arguments import Debug, Json, OptionalApp, User
from omnitron.cli.selection import is_user_scope, select
from omnitron.observe.conditions import as_data, text_of
from omnitron.operations import installed, why
from omnitron.supervision import messages
from omnitron.systemd.journal_command import journal_command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omnitron.observe.diagnosis import Trouble
    from omnitron.observe.report import StackReport
    from omnitron.policy.model import StackPolicy

LINES_SHOWN = 8
MANAGER = 1
"""PID of the one that says what it did with a service; what the service said itself tells more."""


def why_command(app: OptionalApp = None, user: User = False, json: Json = False, debug: Debug = False) -> None:
    """Explain what does not run: the first cause, its last words, whom it affects, and what to do.

    With an APP, only what concerns that app: its own failure, or the one that keeps it from running.
    """
    is_user = is_user_scope(user)
    name: str | None = None
    policies: Sequence[StackPolicy]
    if app is None:
        policies = installed.stacks(is_user=is_user)
    else:
        (selection,) = select(app, is_user=is_user)
        policies, name = [selection.stack], selection.app.name
    reports = installed.reports(policies, is_user=is_user)
    causes = why.causes(reports, name)
    if output.wants_json():
        output.data([_as_data(cause, is_user=is_user) for cause in causes])
        return
    if not causes:
        for report in reports:
            output.line(_all_is_well(report, name))
    for number, cause in enumerate(causes):
        if number:
            output.line()
        _print(cause, name, is_user=is_user)


def _all_is_well(report: StackReport, name: str | None) -> str:
    apps = [app for app in report.apps if name in (None, app.policy.name)]
    services = [service for app in apps for service in app.services]
    online = sum(service.status == "online" for service in services)
    stack = report.policy.stack
    what = f"{stack}/{name}" if name else f"{stack} of {report.policy.project}"
    if online == len(services):
        return f"{what}: all is as it should be, {output.count(online, 'running service')}"
    if report.ended_by is None and report.active == "inactive":
        return f"{what}: stopped, and nothing has failed; `omnitron start` starts it"
    of = output.count(len(services), "service")
    return f"{what}: nothing has failed; {online} of {of} run, the others were stopped or are not enabled"


def _print(cause: Trouble, app: str | None, *, is_user: bool) -> None:
    service, policy = cause.service, cause.stack.policy
    for effect in cause.effects:
        if effect.app == app:
            output.line(f"{output.paint(f'{policy.stack}/{effect.app}', 'bold')} {why.effect_on(cause, effect.app)}.")
    what = {"failed": "has failed", "failing": "keeps failing", "unreachable": "cannot start"}[cause.kind]
    output.line(f"{output.paint(cause.address, 'bold')} {what}: {text_of(service.condition)}.")
    if exit := service.last_exit:
        when = output.duration(max(0.0, time.time() - exit.at))
        dumped = ", and left a core dump: coredumpctl info" if exit.code == "dumped" else ""
        output.line(f"  last exit  {when} ago: {messages.cause(exit)}{dumped}")
    entries = [entry for entry in installed.last_lines(service.unit, policy, is_user=is_user) if entry.pid != MANAGER]
    if entries:
        output.line("  its last words:")
        for entry in entries[-LINES_SHOWN:]:
            output.line(f"    {output.paint(log_output.harmless(entry.message), 'dim')}")
    for effect in cause.effects:
        output.line(f"  affects    {effect.app}: {why.effect_on(cause, effect.app)}")
    if cause.critical and cause.kind == "failed" and cause.stack.ended_by:
        output.line(f"  affects    the whole stack, which ended: {cause.app} is critical")
    output.line(f"  to do      {why.cure(cause)}")
    journal = journal_command(service.unit, is_user=is_user, namespace=policy.log_namespace)
    output.line(f"  more       {journal}")


def _as_data(cause: Trouble, *, is_user: bool) -> dict[str, Any]:
    exit = cause.service.last_exit
    entries = installed.last_lines(cause.service.unit, cause.stack.policy, is_user=is_user)
    return {
        "address": cause.address,
        "unit": cause.service.unit,
        "kind": cause.kind,
        "reason": text_of(cause.service.condition),
        "condition": as_data(cause.service.condition),
        "critical": cause.critical,
        "lastExit": exit._asdict() if exit else None,
        "lastLines": [entry.message for entry in entries],
        "affects": [
            {"app": effect.app, "kind": effect.kind, "how": why.effect_on(cause, effect.app)}
            for effect in cause.effects
        ],
        "cure": why.cure(cause),
    }
