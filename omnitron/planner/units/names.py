"""The names of a stack's units, and what every unit of it says about where it belongs."""

from __future__ import annotations

from dataclasses import dataclass

from omnitron import names
from omnitron.planner.units.values import Literal, Value


def period(interval: int) -> str:
    """Return `15s` for 15000 milliseconds, `1500ms` for what is no whole second."""
    return f"{interval}ms" if interval % 1000 else f"{interval // 1000}s"


@dataclass(frozen=True)
class StackNames:
    """Names in one stack of one project."""

    project: str
    prefix: str
    stack: str
    source: Literal
    """Path of the definition."""
    log_namespace: str | None
    """Journal namespace of the stack, None for the host's journal."""
    group_record: str | None
    """Name of the crash record that processes share under a group strategy, None for one each."""

    @property
    def prefix_part(self) -> str:
        """The prefix as part of a path or unit name."""
        return names.unit_part(self.prefix)

    @property
    def stem(self) -> str:
        """`omnitron-dev`."""
        return names.unit_stem(self.prefix, self.stack)

    @property
    def stack_target(self) -> str:
        """Starts and stops the stack."""
        return f"{self.stem}.target"

    @property
    def stack_slice(self) -> str:
        """Holds the stack's cgroups."""
        return f"{self.stem}.slice"

    @property
    def critical_target(self) -> str:
        """Takes the stack down; no app's target has three parts, so no app can take its name."""
        return f"{self.stem}-critical-failure.target"

    @property
    def critical_check(self) -> str:
        """Decides whether a failure of a critical unit ends the stack."""
        return f"{self.stem}-critical-failure-check.service"

    def app_target(self, app: str) -> str:
        """Starts and stops an app of several processes."""
        return f"{names.unit_stem(self.prefix, self.stack, app)}.target"

    def app_slice(self, app: str) -> str:
        """Holds the cgroups of an app of several processes."""
        return f"{names.unit_stem(self.prefix, self.stack, app)}.slice"

    def sweep(self, interval: int) -> str:
        """Return the name, without suffix, of what asks for health every `interval` milliseconds."""
        return f"{self.stem}-health-{period(interval)}"

    def gate(self, app: str) -> str:
        """Opens when every process of an app is active."""
        return f"{names.unit_stem(self.prefix, self.stack, *names.app_parts(app))}-ready.service"

    @property
    def opener(self) -> str:
        """Opens the secrets of a stack whose store is sealed."""
        return f"{self.stem}-secrets.service"

    def is_gate(self, unit: str) -> bool:
        """Return whether a unit of the stack is a gate: a process named `ready` is refused for apps that have one."""
        return unit.endswith("-ready.service")

    def identity(self, app: str | None = None, process: str | None = None) -> dict[str, Value]:
        """Return what the `X-Omnitron` section says."""
        return {
            "project": self.project,
            "stack": self.stack,
            "app": app,
            "process": process,
        }
