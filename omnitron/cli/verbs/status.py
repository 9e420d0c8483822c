"""`omnitron status`: what runs, and why what does not run does not."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from omnitron.cli import output
from omnitron.cli.arguments import Debug, Json, User
from omnitron.cli.selection import is_user_scope

if TYPE_CHECKING:
    from omnitron.observe.report import AppReport, ServiceReport, StackReport

COLOURS = {
    "online": "green",
    "starting": "yellow",
    "stopping": "yellow",
    "stopped": "dim",
    "errored": "red",
    "crashed": "red",
}
HEADINGS = ("APP", "STATUS", "PID", "CPU", "MEMORY", "UPTIME", "RESTARTS", "PORT", "")
REFRESH_S = 2.0

Stack = Annotated[str | None, typer.Option("--stack", help="Only this stack.")]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Refresh every two seconds until Ctrl-C.")]


def status_command(
    stack: Stack = None, watch: Watch = False, user: User = False, json: Json = False, debug: Debug = False
) -> None:
    """Show what runs: state, main PID, CPU, memory, uptime, restarts and what is to be said of each app.

    CPU is the share of one CPU: since the start, with --watch since the last refresh.
    Exit status 1 when an app has failed or is blocked.
    """
    from omnitron.operations import installed, status  # 40 ms, and help does without

    is_user = is_user_scope(user)
    previous: dict[str, tuple[float, float]] = {}
    while True:
        reports = installed.reports(installed.stacks(is_user=is_user, name=stack), is_user=is_user)
        if output.wants_json():
            _print_json(reports, is_user=is_user)
        else:
            if watch:
                output.clear()
            _print_tables(status.with_recent_cpu(reports, previous))
        if not watch:
            break
        time.sleep(REFRESH_S)
    if any(_is_wrong(app) for report in reports for app in report.apps):
        raise typer.Exit(1)


def _is_wrong(app: AppReport) -> bool:
    return app.policy.enabled and (app.status in ("crashed", "errored") or app.is_blocked())


def _print_json(reports: list[StackReport], *, is_user: bool) -> None:
    from omnitron.observe.status_json import daemon_status
    from omnitron.operations import status

    manager = status.manager_state(is_user=is_user)
    output.data(daemon_status(reports, uptime=manager.uptime, pid=manager.pid))


def _print_tables(reports: list[StackReport]) -> None:
    from omnitron.observe.diagnosis import troubles

    for number, report in enumerate(reports):
        if number:
            output.line()
        policy = report.policy
        output.line(f"{output.paint(policy.stack, 'bold')} of {policy.project}: {policy.target} is {report.active}")
        if report.ended_by:
            output.line(output.paint(f"ended by the final failure of its critical app {report.ended_by}", "red"))
        rows: list[list[str]] = []
        colours: dict[tuple[int, int], str] = {}
        for app in report.apps:
            for label, services in _lines(app):
                colours[(len(rows), 1)] = COLOURS[_state(services)]
                rows.append(_row(app, label, services))
        if rows:
            output.table(HEADINGS, rows, colours)
        for trouble in troubles(report):
            output.line(f"{output.paint('!', 'red')} {trouble.brief}; see `omnitron why {trouble.app}`")


def _lines(app: AppReport) -> list[tuple[str, list[ServiceReport]]]:
    """Return one line for an app, and one more for each process or instance where there are several."""
    name = app.policy.name
    lines = [(name, app.services)]
    for process in app.processes:
        label = f"  :{process.policy.name}" if len(app.processes) > 1 else " "
        if len(app.processes) > 1 and len(process.services) == 1:
            lines.append((label, list(process.services)))
        elif len(process.services) > 1:
            lines += [(f"{label}@{service.instance}", [service]) for service in process.services]
    return lines


def _state(services: list[ServiceReport]) -> str:
    from omnitron.observe.report import worst

    return worst([service.status for service in services])


def _row(app: AppReport, label: str, services: list[ServiceReport]) -> list[str]:
    state = _state(services)
    up = [service.uptime for service in services if service.status == "online"]
    whole = not label.startswith(" ")
    port = next((process.policy.port for process in app.processes if process.policy.port), None) if whole else None
    name = label + (" *" if app.policy.critical and whole else "")
    notes = [service.condition.text for service in services if service.condition]
    note = notes[0] if notes and (len(services) > 1 or whole or len(app.services) > 1) else ""
    return [
        name,
        state,
        str(services[0].pid or "-") if len(services) == 1 else "-",
        f"{sum(service.cpu for service in services):.1f}%" if up else "-",
        output.size(sum(service.memory for service in services)) if up else "-",
        output.duration(min(up)) if up else "-",
        str(sum(service.restarts for service in services)),
        str(port or "-"),
        note,
    ]
