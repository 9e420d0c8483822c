"""`omnitron inspect`: all that is known of one app."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from omnitron.cli import output
from omnitron.cli.arguments import App, Debug, Json, User
from omnitron.cli.selection import is_user_scope, last_words, reports, targets
from omnitron.errors import UsageError

if TYPE_CHECKING:
    from omnitron.observe.report import AppReport, ServiceReport, StackReport
    from omnitron.policy.model import ProcessPolicy, Selection
    from omnitron.systemd.journal import Entry


def inspect_command(app: App, user: User = False, json: Json = False, debug: Debug = False) -> None:
    """Show all that is known of an app, or of one process or instance of it.

    Each service with its state, budget, last exit, and the last lines of its log after that.
    """
    from omnitron.observe.status_json import diagnostics

    is_user = is_user_scope(user)
    (one,) = targets(app, is_user=is_user)
    (stack,) = reports([one.stack], is_user=is_user, listens=True)
    report = _of_target(one, stack)
    if output.wants_json():
        found = (_last_exit(service, report, is_user=is_user) for service in report.services)
        exits = [exit for exit in found if exit]
        last = max(exits, key=lambda exit: str(exit["atIso"]), default=None)
        output.data(diagnostics(report, str(one.address.of_app), source=str(one.stack.source), last_exit=last))
        return
    _print(report, is_user=is_user)


def _of_target(one: Selection, stack: StackReport) -> AppReport:
    """Return the report of an app, as far as it is about what the address means."""
    (app,) = [found for found in stack.apps if found.policy == one.app]
    processes = []
    for process in app.processes:
        services = tuple(service for service in process.services if one.instance in (None, service.instance))
        if one.process in (None, process.policy):
            processes.append(replace(process, services=services))
    report = replace(app, processes=tuple(processes))
    if not report.services:
        raise UsageError(
            f"cannot find {one.address}: no such instance runs", hint=f"see `omnitron inspect {one.app.name}`"
        )
    return report


def _last_exit(service: ServiceReport, report: AppReport, *, is_user: bool) -> dict[str, Any] | None:
    """Return `lastExit` of an `AppDiagnosticsDto`."""
    exit = service.last_exit
    if exit is None:
        return None
    from omnitron.cli.verbs.logs import harmless
    from omnitron.supervision.messages import cause

    entries = last_words(service.unit, report.stack, is_user=is_user)
    killed = exit.code in ("killed", "dumped")
    return {
        "atIso": datetime.fromtimestamp(exit.at, UTC).isoformat(),
        "code": int(exit.status) if exit.status.isdigit() and not killed else None,
        "signal": f"SIG{exit.status}" if killed else None,
        "expected": False,
        "stderrTail": [harmless(entry.message) for entry in entries],
        "message": _said(entries) or (service.note if service.status in ("crashed", "errored") else cause(exit)),
    }


def _said(entries: list[Entry]) -> str | None:
    """Return why a process host has ended, in its own words."""
    from omnitron.names import EXIT_MESSAGE_ID

    own = [entry.message for entry in entries if entry.message_id == EXIT_MESSAGE_ID]
    return own[-1] if own else None


def _print(report: AppReport, *, is_user: bool) -> None:
    policy = report.policy
    output.line(f"{output.paint(f'{report.stack.stack}/{policy.name}', 'bold')} of {report.stack.project}")
    output.line(f"  definition   {report.stack.source}")
    output.line(f"  depends on   {', '.join(policy.depends_on) or 'nothing'}")
    output.line(f"  critical     {'yes: its final failure ends the stack' if policy.critical else 'no'}")
    for process in report.processes:
        for service in process.services:
            output.line()
            _print_service(report, process.policy, service, is_user=is_user)


def _print_service(
    report: AppReport,
    process: ProcessPolicy,
    service: ServiceReport,
    *,
    is_user: bool,
) -> None:
    restarts = process.restarts
    output.line(f"{service.unit}")
    output.line(f"  state        {service.status}" + (f": {service.note}" if service.note else ""))
    if service.pid:
        use = f"{service.cpu:.1f} % CPU, {output.size(service.memory)}"
        output.line(f"  main PID     {service.pid}, up {output.duration(service.uptime)}, {use}")
    if restarts.enabled:
        within = output.duration(restarts.window / 1000)
        budget = f"{restarts.max_restarts} in {within}"
        left = f"at most {budget}" if service.budget_left is None else f"{service.budget_left} of {budget} left"
        output.line(f"  restarts     {service.restarts} so far; {left}")
    else:
        output.line("  restarts     never")
    if service.last_exit:
        from omnitron.cli.verbs.logs import harmless
        from omnitron.supervision.messages import cause

        at = datetime.fromtimestamp(service.last_exit.at).astimezone().isoformat(" ", "seconds")
        how = cause(service.last_exit) + (", core dumped" if service.last_exit.code == "dumped" else "")
        entries = last_words(service.unit, report.stack, is_user=is_user)
        output.line(f"  last exit    {at}: {how}")
        if said := _said(entries):
            output.line(f"  reason       {harmless(said)}")
        for entry in entries:
            output.line(f"               {output.paint(harmless(entry.message), 'dim')}")
    output.line(f"  more         systemctl{' --user' if is_user else ''} status {service.unit}")
