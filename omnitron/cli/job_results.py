"""The results of jobs, printed for people or programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from omnitron.cli import output
from omnitron.observe.conditions import as_data

if TYPE_CHECKING:
    from omnitron.operations.job_runner import JobOutcome


def finish(verb: str, outcome: JobOutcome) -> None:
    """Print what was done and what failed; exit with 1 when a job did not end well."""
    if output.wants_json():
        failed = [
            {"unit": job.unit, "reason": job.reason, "condition": as_data(job.condition)} for job in outcome.failed
        ]
        output.data({verb: list(outcome.done), "failed": failed})
    else:
        for name in outcome.done:
            output.line(f"{verb} {name}")
        if outcome.failed:
            output.errors([f"{job.unit}: {job.reason}" for job in outcome.failed], f"see: {outcome.failed[0].journal}")
    if outcome.failed:
        raise typer.Exit(1)
