"""Names that a stack must not take from the distribution: those of its units, and with a prefix its folders."""

from __future__ import annotations

from collections.abc import Iterable

from omnitron.definition.project import Ecosystem
from omnitron.errors import Problem
from omnitron.names import unit_part
from omnitron.planner.facts import HostFacts

AT = ("unitPrefix",)
OURS = "omnitron"
"""The exception: units with this prefix that a package has brought are of this program."""


def problems(ecosystem: Ecosystem, units: Iterable[str], facts: HostFacts) -> list[Problem]:
    """Return what is wrong with the names of `units`, which the stacks of a definition consist of.

    A unit of the administrator's goes before one of the same name that a package has brought. And the prefix
    names folders below `/run` and `/var/lib` that processes are given: `systemd` would be a way to root.
    """
    conflicts = sorted(facts.distribution.intersection(units))
    if conflicts:
        message = f"cannot name a unit {conflicts[0]}: the distribution has one of that name, which it would replace"
        return [ecosystem.source.problem(AT, f"{message}; choose another unitPrefix")]
    prefix = unit_part(ecosystem.config.unit_prefix)
    theirs = sorted(name for name in facts.distribution if name.startswith(tuple(f"{prefix}{end}" for end in "-@.")))
    if theirs and prefix != OURS:
        message = (
            f"cannot use the prefix {prefix!r}: units of the distribution have it, such as {theirs[0]}, and its "
            "folders; choose another"
        )
        return [ecosystem.source.problem(AT, message)]
    return []
