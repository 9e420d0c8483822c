"""`omnitron why`: what is not as it should be, and why."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from omnitron.cli import output
from omnitron.cli.arguments import Debug, Json, OptionalApp, User
from omnitron.cli.selection import installed, is_user_scope, last_words, reports, targets

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
    from omnitron.observe.diagnosis import troubles

    is_user = is_user_scope(user)
    policies: Sequence[StackPolicy]
    if app is None:
        policies, wanted = installed(is_user=is_user), None
    else:
        (one,) = targets(app, is_user=is_user)
        policies, wanted = [one.stack], one.app.name
    found = reports(policies, is_user=is_user)
    causes = [cause for report in found for cause in troubles(report) if wanted is None or _concerns(cause, wanted)]
    if output.wants_json():
        output.data([_as_data(cause, is_user=is_user) for cause in causes])
        return
    if not causes:
        for report in found:
            output.line(_all_is_well(report, wanted))
    for number, cause in enumerate(causes):
        if number:
            output.line()
        _print(cause, wanted, is_user=is_user)


def _concerns(cause: Trouble, app: str) -> bool:
    return cause.app == app or any(effect.app == app for effect in cause.effects)


def _all_is_well(report: StackReport, wanted: str | None) -> str:
    apps = [app for app in report.apps if wanted in (None, app.policy.name)]
    services = [service for app in apps for service in app.services]
    online = sum(service.status == "online" for service in services)
    name = f"{report.policy.stack} of {report.policy.project}"
    what = f"{report.policy.stack}/{wanted}" if wanted else name
    if online == len(services):
        return f"{what}: all is as it should be, {output.count(online, 'running service')}"
    if report.ended_by is None and report.active == "inactive":
        return f"{what}: stopped, and nothing has failed; `omnitron start` starts it"
    of = output.count(len(services), "service")
    return f"{what}: nothing has failed; {online} of {of} run, the others were stopped or are not enabled"


def _print(cause: Trouble, wanted: str | None, *, is_user: bool) -> None:
    from omnitron.cli.verbs.logs import harmless
    from omnitron.supervision import messages

    service, policy = cause.service, cause.stack.policy
    for effect in cause.effects:
        if effect.app == wanted:
            output.line(f"{output.paint(f'{policy.stack}/{effect.app}', 'bold')} {_how(cause, effect.app)}.")
    what = {"failed": "has failed", "failing": "keeps failing", "unreachable": "cannot start"}[cause.kind]
    output.line(f"{output.paint(cause.address, 'bold')} {what}: {service.note}.")
    if exit := service.last_exit:
        when = output.duration(max(0.0, time.time() - exit.at))
        dumped = ", and left a core dump: coredumpctl info" if exit.code == "dumped" else ""
        output.line(f"  last exit  {when} ago: {messages.cause(exit)}{dumped}")
    entries = [entry for entry in last_words(service.unit, policy, is_user=is_user) if entry.pid != MANAGER]
    if entries:
        output.line("  its last words:")
        for entry in entries[-LINES_SHOWN:]:
            output.line(f"    {output.paint(harmless(entry.message), 'dim')}")
    for effect in cause.effects:
        output.line(f"  affects    {effect.app}: {_how(cause, effect.app)}")
    if cause.critical and cause.kind == "failed" and cause.stack.ended_by:
        output.line(f"  affects    the whole stack, which ended: {cause.app} is critical")
    output.line(f"  to do      {_cure(cause)}")
    scope = " --user" if is_user else f" --namespace={policy.log_namespace}" if policy.log_namespace else ""
    output.line(f"  more       journalctl{scope} -e -u {service.unit}")


def _how(cause: Trouble, app: str) -> str:
    """Return how the trouble reaches an app: `is blocked by mid, which is blocked by base`."""
    effect = next(effect for effect in cause.effects if effect.app == app)
    if effect.how != "is blocked":
        return f"{effect.how.replace('with it', f'with {cause.app}')}: their group shares its failures"
    chain = [*reversed(effect.through), cause.app]
    return "is blocked by " + ", which is blocked by ".join(chain)


def _cure(cause: Trouble) -> str:
    name = cause.address
    if cause.kind == "failed":
        return f"remove the cause, then: omnitron reset {name}"
    if cause.kind == "failing":
        return f"remove the cause; it is tried again by itself, or at once with: omnitron restart {name}"
    return f"free what it needs, then: omnitron start {name}"


def _as_data(cause: Trouble, *, is_user: bool) -> dict[str, Any]:
    exit = cause.service.last_exit
    return {
        "address": cause.address,
        "unit": cause.service.unit,
        "kind": cause.kind,
        "reason": cause.service.note,
        "critical": cause.critical,
        "lastExit": exit._asdict() if exit else None,
        "lastLines": [entry.message for entry in last_words(cause.service.unit, cause.stack.policy, is_user=is_user)],
        "affects": [{"app": effect.app, "how": _how(cause, effect.app)} for effect in cause.effects],
        "cure": _cure(cause),
    }
