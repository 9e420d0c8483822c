"""Findings in short."""

from __future__ import annotations

from collections.abc import Iterable

from omnitron.observe.host_checks.finding import Finding


def states(findings: Iterable[Finding]) -> list[tuple[str, str]]:
    return [(finding.check, finding.state) for finding in findings]
