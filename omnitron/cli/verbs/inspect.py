"""`omnitron inspect`: all that is known of one app."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from omnitron.cli import output
from omnitron.cli.arguments import App, Debug, Json, User
from omnitron.cli.log_output import harmless
from omnitron.cli.selection import is_user_scope, select
from omnitron.observe.conditions import text_of
from omnitron.observe.status_json import diagnostics
from omnitron.operations.inspect import Inspection, inspect, reason_of_exit
from omnitron.supervision import messages

if TYPE_CHECKING:
    from omnitron.observe.report import ServiceReport
    from omnitron.policy.model import ProcessPolicy


def inspect_command(app: App, user: User = False, json: Json = False, debug: Debug = False) -> None:
    """Show all that is known of an app, or of one process or instance of it.

    Each service with its state, budget, last exit, and the last lines of its log after that.
    """
    is_user = is_user_scope(user)
    (selection,) = select(app, is_user=is_user)
    inspection = inspect(selection, is_user=is_user)
    if output.wants_json():
        exits = [exit for service in inspection.report.services if (exit := _last_exit(service, inspection))]
        last = max(exits, key=lambda exit: str(exit["atIso"]), default=None)
        address, source = str(selection.address.of_app), str(selection.stack.source)
        output.data(diagnostics(inspection.report, address, source=source, last_exit=last))
        return
    _print(inspection)


def _last_exit(service: ServiceReport, inspection: Inspection) -> dict[str, Any] | None:
    """Return `lastExit` of an `AppDiagnosticsDto`."""
    exit = service.last_exit
    if exit is None:
        return None
    entries = inspection.lines(service)
    killed = exit.code in ("killed", "dumped")
    is_down = service.status in ("crashed", "errored")
    return {
        "atIso": datetime.fromtimestamp(exit.at, UTC).isoformat(),
        "code": int(exit.status) if exit.status.isdigit() and not killed else None,
        "signal": f"SIG{exit.status}" if killed else None,
        "expected": False,
        "stderrTail": [harmless(entry.message) for entry in entries],
        "message": reason_of_exit(entries) or (text_of(service.condition) if is_down else messages.cause(exit)),
    }


def _print(inspection: Inspection) -> None:
    report = inspection.report
    policy = report.policy
    output.line(f"{output.paint(f'{report.stack.stack}/{policy.name}', 'bold')} of {report.stack.project}")
    output.line(f"  definition   {report.stack.source}")
    output.line(f"  depends on   {', '.join(policy.depends_on) or 'nothing'}")
    output.line(f"  critical     {'yes: its final failure ends the stack' if policy.critical else 'no'}")
    for process in report.processes:
        for service in process.services:
            output.line()
            _print_service(inspection, process.policy, service)


def _print_service(inspection: Inspection, process: ProcessPolicy, service: ServiceReport) -> None:
    restarts = process.restarts
    output.line(f"{service.unit}")
    output.line(f"  state        {service.status}" + (f": {service.condition.text}" if service.condition else ""))
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
        at = datetime.fromtimestamp(service.last_exit.at).astimezone().isoformat(" ", "seconds")
        how = messages.cause(service.last_exit) + (", core dumped" if service.last_exit.code == "dumped" else "")
        entries = inspection.lines(service)
        output.line(f"  last exit    {at}: {how}")
        if reason := reason_of_exit(entries):
            output.line(f"  reason       {harmless(reason)}")
        for entry in entries:
            output.line(f"               {output.paint(harmless(entry.message), 'dim')}")
    output.line(f"  more         systemctl{' --user' if inspection.is_user else ''} status {service.unit}")
