"""The common part of the processes of a stack's own: its servers, its containers, its gateway."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from omnitron import names
from omnitron.definition.process import Limits, Paths, RawUnit
from omnitron.definition.project import Ecosystem
from omnitron.planner.resolve.process import Listener, PlannedProcess, Probe, ServerSpec
from omnitron.planner.resolve.program import Program
from omnitron.planner.resolve.restarts import Restarts, resolve

NO_LIMITS, NO_PATHS = Limits(), Paths()


def restarts_of(ecosystem: Ecosystem) -> Restarts:
    """Return when a server starts again: as apps do, but for groups, whose order is that of apps alone."""
    return replace(resolve(ecosystem.config.supervision, ()), grouped=False)


def server(
    ecosystem: Ecosystem,
    stack: str,
    app: str,
    program: Program,
    native: ServerSpec,
    *,
    probe: Probe | None,
    listeners: tuple[Listener, ...],
    user: str,
    startup_timeout: int,
    stop_timeout: int,
    restarts: Restarts | None = None,
    paths: Paths = NO_PATHS,
    limits: Limits = NO_LIMITS,
    environment: tuple[tuple[str, str], ...] = (),
) -> PlannedProcess:
    """Return the one process of an app of the stack's own. Times in milliseconds."""
    return PlannedProcess(
        prefix=ecosystem.config.unit_prefix,
        stack=stack,
        app=app,
        name=names.SINGLE_PROCESS,
        alone=True,
        pool=None,
        program=program,
        folder=Path("/"),
        project=Path("/"),
        environment=environment,
        critical=False,
        restarts=restarts or restarts_of(ecosystem),
        startup_timeout=startup_timeout,
        stop_timeout=stop_timeout,
        stop_priority=0,
        probe=probe,
        listeners=listeners,
        user=user,
        group=None,
        paths=paths,
        limits=limits,
        hardening="strict",
        raw=RawUnit(),
        log_level=ecosystem.config.logging.level,
        scaling=None,
        hosted=None,
        native=native,
    )
