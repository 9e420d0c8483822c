"""`run`: a one-off command with the environment, user and sandbox of an app, as a transient unit."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omnitron import names
from omnitron.errors import OmnitronError, UsageError
from omnitron.operations.events import DirectiveIgnored, OutOfMemory, Progress, ignore
from omnitron.operations.job_runner import run_steps
from omnitron.operations.planned import find_process
from omnitron.operations.steps import Step
from omnitron.planner.facts import HostFacts
from omnitron.planner.plan import Plan
from omnitron.planner.resolve.environment import of_program, with_secrets
from omnitron.planner.resolve.process import PlannedProcess
from omnitron.planner.units.service import DYNAMIC_USER
from omnitron.planner.units.values import Unit
from omnitron.render.properties import properties_of
from omnitron.systemd import journal
from omnitron.systemd.foreground import run
from omnitron.systemd.journal_command import journal_command
from omnitron.systemd.transient import Outcome, TransientUnit, require_pystemd

SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")

FAILED_BEFORE = {
    200: "its working directory cannot be entered",
    203: "there is no such program, or it cannot be executed",
    216: "its group is not known here",
    217: "its user is not known here",
    226: "its sandbox cannot be set up",
    238: "its state directory cannot be made",
    243: "its secrets cannot be read: see omnitron secret list",
}
"""Statuses of systemd.exec(5), for what fails before the program runs."""


def run_one_off(plan: Plan, address: str, argv: Sequence[str], progress: Progress = ignore) -> int:
    """Run a command as the process of an address would run, with this process's streams; return an exit status.

    It is the command's, 128 + N after signal N. Raises CannotRunError when systemd could not start it.
    """
    require_pystemd()
    is_user = plan.facts.is_user
    stack, process = find_process(plan, address)
    unit = next(unit for unit in stack.units if unit.name == process.unit)
    parsed = names.parse_address(address)
    name = names.unit_stem(stack.names.prefix, "run", stack.names.stack, process.app, secrets.token_hex(4))
    if process.secrets and plan.facts.secrets.sealed:
        run_steps([Step("start", (stack.names.opener,), "it opens the secrets")], is_user=is_user)
    command = list(argv)
    with TransientUnit(f"{name}.service", is_user=is_user) as transient:
        instance = parsed.instance if parsed else None
        properties, ignored = _properties(unit, process, command, instance, transient, plan.facts)
        for directive in ignored:
            progress(DirectiveIgnored(directive, unit.name))
        outcome, stopped_by = run(transient, properties)
    if stopped_by is None and not outcome.started:
        _check_executed(command[0], process, outcome, transient, stack.names.log_namespace)
    return _exit_status(command[0], outcome, stopped_by, progress)


def _exit_status(program: str, outcome: Outcome, stopped_by: int | None, progress: Progress) -> int:
    """Return the exit status, after an event for an end that the command itself cannot report."""
    if stopped_by is not None:
        return 128 + stopped_by
    if outcome.result == "oom-kill":
        progress(OutOfMemory(program))
    return outcome.exit_status


def _properties(
    unit: Unit,
    process: PlannedProcess,
    argv: list[str],
    instance: int | None,
    transient: TransientUnit,
    facts: HostFacts,
) -> tuple[list[tuple[str, str, Any]], Sequence[str]]:
    """Return all properties of the transient unit but those of its streams, and the directives without one."""
    shared, ignored = properties_of(unit, instance)
    properties: list[tuple[str, str, Any]] = [
        ("Description", "s", _description(process, argv)),
        ("Type", "s", "exec"),
        ("TimeoutStopUSec", "t", max(process.stop_timeout, 1) * 1000),
        *shared,
        # An empty list would not add nothing: it would take all variables away.
        *(("Environment", "as", [f"{name}={value}"]) for name, value in of_program(process)),
        *_search_path(process),
        ("ExecStartEx", "a(sasas)", [_executable(process, argv, facts)]),
    ]
    if dict(process.environment).get("TERM") is None and sys.stdin and sys.stdin.isatty():
        properties.append(("Environment", "as", [f"TERM={os.environ.get('TERM', 'dumb')}"]))
    if process.user == DYNAMIC_USER and (name := transient.user_of(process.services[0])):
        # With another name it would take the state directory away from the running app.
        properties.append(("User", "s", name))
    return properties, ignored


def _description(process: PlannedProcess, argv: list[str]) -> str:
    line = "".join(character if character.isprintable() else " " for character in " ".join(argv))
    return f"{process.stack}/{process.app}: {line[:100]}"


def _executable(process: PlannedProcess, argv: list[str], facts: HostFacts) -> tuple[str, list[str], list[str]]:
    program = argv[0] if "/" not in argv[0] else str(process.folder / argv[0])
    try:
        " ".join(argv).encode()
    except UnicodeEncodeError as error:
        raise UsageError("cannot pass the command to systemd: an argument is not UTF-8") from error
    words = with_secrets(process, (program, *argv[1:]), facts)
    return words[0], list(words), ["no-env-expand"]


def _search_path(process: PlannedProcess) -> list[tuple[str, str, Any]]:
    """Return where a program without a slash is looked for, where it is not systemd's own list.

    The PATH of the app's environment; else, where the app runs in a virtual environment, its programs first.
    """
    search_path = dict(process.environment).get("PATH")
    programs = Path(process.program.argv[0]).parent
    if search_path:
        folders = [folder for folder in search_path.split(":") if folder.startswith("/")]
    elif (programs.parent / "pyvenv.cfg").exists():
        folders = [str(programs), *SYSTEM_PATH]
    else:
        return []
    return [("ExecSearchPath", "as", folders)]


def _check_executed(
    program: str, process: PlannedProcess, outcome: Outcome, unit: TransientUnit, namespace: str | None
) -> None:
    """Raise CannotRunError, unless a program that ended at once used one of systemd's exit statuses itself."""
    words = journal.why_not_executed(unit.name, is_user=unit.is_user, namespaces=(namespace,) if namespace else ())
    if words != "":
        command = journal_command(unit.name, is_user=unit.is_user, namespace=namespace)
        raise CannotRunError(program, process, outcome, f"systemd says: {words}" if words else f"see: {command}")


class CannotRunError(OmnitronError):
    """systemd could not get as far as executing the program."""

    exit_code = 127

    def __init__(self, program: str, process: PlannedProcess, outcome: Outcome, hint: str) -> None:
        why = FAILED_BEFORE.get(outcome.status, f"systemd says {outcome.result}, status {outcome.status}")
        super().__init__(
            f"cannot run {program!r} as {process.stack}/{process.app}:{process.name}: {why}",
            hint=hint,
        )
