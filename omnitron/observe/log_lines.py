"""Log lines of apps: which units to ask for, and which app, process and instance an entry is of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from omnitron.names import SINGLE_PROCESS, instance_of, pool_pattern, template_of
from omnitron.policy.model import ProcessPolicy, Selection, StackPolicy
from omnitron.systemd.journal import Entry


@dataclass(frozen=True)
class Line:
    """One entry of the journal, with what it is of."""

    entry: Entry
    app: str
    """The app, as `stack/app` where the name alone would not do."""
    process: str
    instance: int | None
    stack: str
    unit: str

    @property
    def label(self) -> str:
        """The address, as short as it can be: `api`, `api:worker@2`."""
        process = f":{self.process}" if self.process != SINGLE_PROCESS else ""
        return f"{self.app}{process}" + (f"@{self.instance}" if self.instance is not None else "")

    def as_data(self) -> dict[str, Any]:
        """Return it as a `LogEntryDto`: the timestamp is in milliseconds."""
        data = {
            "pid": self.entry.pid,
            "stack": self.stack,
            "process": self.process,
            "instance": self.instance,
            "unit": self.unit,
        }
        return {
            "timestamp": self.entry.timestamp // 1000,
            "app": self.app,
            "level": self.entry.level,
            "message": self.entry.message,
            "data": {name: value for name, value in data.items() if value is not None},
        }


class Sources:
    """The units of some apps, processes or instances."""

    def __init__(self, selections: Iterable[Selection], installed: Iterable[StackPolicy]) -> None:
        """`installed` are all stacks, in which a name may have to be told apart."""
        names = [app.name for stack in installed for app in stack.apps]
        self.selections = list(selections)
        self.namespaces = tuple(
            dict.fromkeys(
                selection.stack.log_namespace for selection in self.selections if selection.stack.log_namespace
            )
        )
        self._owners: dict[str, tuple[str, StackPolicy, ProcessPolicy]] = {}
        units: list[str] = []
        for selection in self.selections:
            app = (
                selection.app.name
                if names.count(selection.app.name) < 2
                else f"{selection.stack.stack}/{selection.app.name}"
            )
            for process in _processes(selection):
                self._owners[process.unit] = (app, selection.stack, process)
            units += _patterns(selection)
        self.units = tuple(dict.fromkeys(units))

    @property
    def width(self) -> int:
        """Length of the longest label to expect."""
        labels = [
            Line(_NOTHING, app, process.name, process.instances, stack.stack, "").label
            for app, stack, process in self._owners.values()
        ]
        return max(map(len, labels), default=0)

    def line(self, entry: Entry) -> Line | None:
        """Return what `entry` is of; None when it is of none of these units."""
        for unit in entry.units:
            owner = self._owners.get(template_of(unit))
            if owner:
                app, stack, process = owner
                return Line(entry, app, process.name, instance_of(unit), stack.stack, unit)
        return None


_NOTHING = Entry(0, 0, "", None, (), "")


def _processes(selection: Selection) -> tuple[ProcessPolicy, ...]:
    return (selection.process,) if selection.process else selection.app.processes


def _patterns(selection: Selection) -> list[str]:
    """Return its services, and a pattern for the instances that a pool had or will have beside those declared."""
    if selection.instance is not None:
        return list(selection.services)
    patterns = [pool_pattern(process.unit) for process in _processes(selection) if process.instances is not None]
    return [*selection.services, *patterns]


def all_targets(stacks: Iterable[StackPolicy]) -> list[Selection]:
    """Return every app of the stacks."""
    return [Selection(stack, app, None, None) for stack in stacks for app in stack.apps]
