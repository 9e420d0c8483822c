"""Apps, processes and instances of an installed stack: start, stop, restart, reload, scale, reset."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from omnitron.errors import UsageError
from omnitron.operations import audit
from omnitron.operations.events import Progress, ignore
from omnitron.operations.installed import records_folder, reports, running, surplus
from omnitron.operations.job_runner import JobOutcome, outcome, reset_failed, run_in_turn, run_steps
from omnitron.operations.operator_stop import hold
from omnitron.operations.reset_budget import renew
from omnitron.operations.steps import (
    Step,
    dependents,
    reload_steps,
    stop_steps,
    units_to_start,
    units_to_stop,
)
from omnitron.policy.model import ProcessPolicy, Selection, StackPolicy
from omnitron.systemd.manager import JobEnd

REQUESTED = "asked for"


def start(selections: Sequence[Selection], *, whole_stack: bool, is_user: bool) -> JobOutcome:
    """Start what is selected, or with `whole_stack` the target of its stack; what was blocked by it starts too.

    Return when it is ready.
    """
    audit.record_selection("start", selections)
    if whole_stack:
        steps = [Step("start", (selections[0].stack.target,), REQUESTED)] if selections else []
    else:
        units = tuple(unit for item in selections for unit in units_to_start(item.app, item.process, item.instance))
        steps = [Step("start", units, REQUESTED), *_steps_to_unblock(selections, is_user=is_user)]
    return _outcome(selections, run_steps(steps, is_user=is_user, reset=True), is_user=is_user)


def _steps_to_unblock(selections: Iterable[Selection], *, is_user: bool) -> list[Step]:
    """Return the steps that start the apps which these had kept from starting, in a stack that is active."""
    steps = []
    for selection in selections:
        (report,) = reports([selection.stack], is_user=is_user)
        if report.active != "active":
            continue
        blocked = {app.policy.name for app in report.apps if app.is_blocked(selection.app.name)}
        steps += [
            Step("start", units_to_start(app, None, None), f"{selection.app.name} had blocked it")
            for app in dependents(selection.stack, [selection.app.name])
            if app.name in blocked and app.enabled
        ]
    return steps


def stop(selections: Sequence[Selection], *, whole_stack: bool, is_user: bool) -> JobOutcome:
    """Stop what is selected with its sockets, or with `whole_stack` every app of its stack in order.

    It stays down until it is started again, even where its group is about to restart.
    """
    audit.record_selection("stop", selections)
    if whole_stack:
        steps = stop_steps(selections[0].stack) if selections else []
    else:
        units = tuple(unit for item in selections for unit in units_to_stop(item.app, item.process, item.instance))
        steps = [Step("stop", (*units, *surplus(selections, is_user=is_user)), REQUESTED)]
        for selection in selections:
            hold(selection.stack, units, records_folder(is_user))
    return _outcome(selections, run_steps(steps, is_user=is_user), is_user=is_user)


def restart(selections: Sequence[Selection], *, is_user: bool) -> JobOutcome:
    """Restart what is selected, apps in their order; return when it is ready again. The budget is untouched."""
    audit.record_selection("restart", selections)
    steps = [Step("restart", selection.services, REQUESTED) for selection in selections]
    return _outcome(selections, run_steps(steps, is_user=is_user, reset=True), is_user=is_user)


def reload(selections: Sequence[Selection], *, is_user: bool, progress: Progress = ignore) -> JobOutcome:
    """Restart what runs of the selection one instance after the other; the first that fails ends it.

    The outcome has the units that were reloaded, none when nothing of it runs.
    """
    audit.record_selection("reload", selections)
    steps = reload_steps(selections, running(selections, is_user=is_user))
    done, failed = run_in_turn(steps, is_user=is_user, progress=progress)
    result = outcome(done, failed, _stacks(selections), is_user=is_user)
    return replace(result, done=tuple(done))


def scale(selection: Selection, count: int, *, is_user: bool) -> JobOutcome:
    """Start or stop instances of the selected pool until `count` of them run; raises UsageError without a pool."""
    process = _pool(selection)
    audit.record_selection(f"scale to {count}", [selection])
    (report,) = reports([selection.stack], is_user=is_user)
    numbers = [
        service.instance
        for app in report.apps
        for other in app.processes
        if other.policy == process
        for service in other.services
    ]
    required = tuple(process.service(number) for number in range(1, count + 1))
    excess = tuple(process.service(number) for number in numbers if number is not None and not 1 <= number <= count)
    steps = [Step("start", (*process.sockets, *required), REQUESTED)]
    if excess:
        steps.append(Step("stop", excess, REQUESTED))
    failed = run_steps(steps, is_user=is_user, reset=True)
    # One that was stopped while it started counts as failed, and would be shown so for ever.
    reset_failed(excess, is_user=is_user)
    name = f"{selection.stack.stack}/{selection.app.name}:{process.name} to {count}"
    return outcome([name], failed, [selection.stack], is_user=is_user)


def _pool(selection: Selection) -> ProcessPolicy:
    pools = [process for process in selection.app.processes if process.instances is not None]
    if selection.process is not None:
        pools = [process for process in pools if process == selection.process]
    if len(pools) != 1:
        hint = "give it `instances` or `scaling` in the definition" if not pools else "name one of its processes"
        many = "it is not a pool" if not pools else f"it has {len(pools)} pools"
        raise UsageError(f"cannot scale {selection.address}: {many}", hint=hint)
    return pools[0]


def reset(selections: Sequence[Selection], *, is_user: bool) -> JobOutcome:
    """Give what is selected a new restart budget and start it, with what its group ended together with it."""
    audit.record_selection("reset", selections)
    units: dict[str, None] = {}
    for selection in selections:
        (report,) = reports([selection.stack], is_user=is_user)
        units |= dict.fromkeys(renew(selection, report, records_folder(is_user)))
    failed = run_steps([Step("start", tuple(units), "a new budget")], is_user=is_user, reset=True)
    return _outcome(selections, failed, is_user=is_user)


def _outcome(selections: Sequence[Selection], failed: Sequence[JobEnd], *, is_user: bool) -> JobOutcome:
    addresses = [str(selection.address) for selection in selections]
    return outcome(addresses, failed, _stacks(selections), is_user=is_user)


def _stacks(selections: Iterable[Selection]) -> list[StackPolicy]:
    return list({selection.stack.target: selection.stack for selection in selections}.values())
