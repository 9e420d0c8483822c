"""A stack after `up`, printed for people or programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from omnitron.cli import output
from omnitron.observe.conditions import text_of
from omnitron.observe.status_json import daemon_status
from omnitron.operations.jobs import services_of
from omnitron.operations.up import failed_services, has_ended
from omnitron.systemd.journal_command import journal_command

if TYPE_CHECKING:
    from omnitron.observe.report import StackReport


def finish(report: StackReport, *, is_user: bool) -> None:
    """Print what is up, or what is not; exit with 1 when something that should run does not."""
    services = services_of(report)
    failed = failed_services(report)
    ended = [service for service in services if has_ended(service)]
    if output.wants_json():
        output.data(daemon_status([report], uptime=0, pid=1)["apps"])
    elif failed:
        journal = journal_command(failed[0].unit, is_user=is_user, namespace=report.policy.log_namespace)
        output.errors(
            [f"{service.unit} is {service.status}: {text_of(service.condition)}" for service in failed],
            f"see: {journal}",
        )
    else:
        rest = f", {len(ended)} ended without an error" if ended else ""
        name = f"{report.policy.stack} of {report.policy.project}"
        output.line(f"{name} is up: {output.count(len(services) - len(ended), 'running service')}{rest}")
        if report.policy.log_namespace:
            output.line(f"logs: journalctl --namespace={report.policy.log_namespace} -e")
    if failed:
        raise typer.Exit(1)
