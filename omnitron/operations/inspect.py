"""`inspect`: everything about one app, process or instance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from omnitron.errors import UsageError
from omnitron.names import EXIT_MESSAGE_ID
from omnitron.observe.report import AppReport, ServiceReport
from omnitron.operations.installed import last_lines, reports
from omnitron.policy.model import Selection
from omnitron.systemd.journal import Entry


@dataclass(frozen=True)
class Inspection:
    """An app, as far as the selection goes, and the last lines of its services."""

    report: AppReport
    is_user: bool

    def lines(self, service: ServiceReport) -> list[Entry]:
        """Return the last lines of a service in the journal."""
        return last_lines(service.unit, self.report.stack, is_user=self.is_user)


def inspect(selection: Selection, *, is_user: bool) -> Inspection:
    """Return the report of what is selected; UsageError for an instance that does not run."""
    (stack,) = reports([selection.stack], is_user=is_user, listens=True)
    (app,) = [app for app in stack.apps if app.policy == selection.app]
    processes = [
        replace(process, services=tuple(s for s in process.services if selection.instance in (None, s.instance)))
        for process in app.processes
        if selection.process in (None, process.policy)
    ]
    report = replace(app, processes=tuple(processes))
    if not report.services:
        raise UsageError(
            f"cannot find {selection.address}: no such instance runs",
            hint=f"see `omnitron inspect {selection.app.name}`",
        )
    return Inspection(report, is_user)


def reason_of_exit(entries: Sequence[Entry]) -> str | None:
    """Return why a process host has ended, in its own words; None for other programs."""
    messages = [entry.message for entry in entries if entry.message_id == EXIT_MESSAGE_ID]
    return messages[-1] if messages else None
