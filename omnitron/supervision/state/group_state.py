"""The memory of the watcher of one stack: a JSON file in `/run/omnitron/<prefix>/`, replaced as a whole.

{"version": 1,
 "seen": {"omnitron-dev-api.service": 1764000000.5},
 "presumed": {"omnitron-dev-api.service": {"run": "5c3be0f8a2d94f7f8a5d1b8f0f4c9e21", "record": "awaited"}},
 "recovery": {"trigger": "omnitron-dev-api.service", "stopping": [], "waiting": ["omnitron-dev-web.service"]},
 "ending": [],
 "wasActive": true,
 "reasons": {"omnitron-dev-web.service": {"at": 1764000000.5, "by": "omnitron-dev-api.service",
  "text": "ended with api, which crashed (exit code 1): given up after 3 restarts", "kind": "groupStopped",
  "cause": "crashed (exit code 1): given up after 3 restarts"}}}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from ..rules.strategy import IDLE, State
from . import trusted_files

VERSION = 1
SIZE_LIMIT = 4 * 1024 * 1024  # bytes


GROUP_STOPPED = "groupStopped"
"""Code of the reason that there is so far: another unit of the group was given up."""


class Reason(NamedTuple):
    """Why a unit was ended with others: when (unix seconds), which unit's failure it was, and a sentence.

    `kind` is its code, empty in a file of a version that had none; a code that is not known is preserved. `cause`
    is how the other unit ended. The sentence is for whoever has no other from the code.
    """

    at: float
    by: str
    text: str
    kind: str = ""
    cause: str = ""


Awaited = Literal["awaited", "due", "missing"]


class Presumed(NamedTuple):
    """A crash that was acted on before it was on record: the run it ended, by its invocation id.

    Its record is `awaited` as long as the unit goes down, `due` once the unit was seen to be done with it, and
    `missing` when the look after that one has not found it: then it will never be there.
    """

    run: str
    record: Awaited = "awaited"


@dataclass(frozen=True)
class Memory:
    """One stack, as the watcher last left it."""

    seen: Mapping[str, float] = field(default_factory=dict)
    """Time of the last crash that was handled, by unit: unix seconds, only ever compared for being the same."""
    recovery: State = IDLE
    ending: tuple[str, ...] = ()
    """Units that are to be stopped for good, in order, and for which no stop was queued yet."""
    was_active: bool = False
    """True if the stack's target was active when the recovery began."""
    reasons: Mapping[str, Reason] = field(default_factory=dict)
    presumed: Mapping[str, Presumed] = field(default_factory=dict)
    """By unit; gone with the next record of that unit."""

    @property
    def is_undecided(self) -> bool:
        """Return whether a crash may turn out to be the final one: as long as it may, nothing is started."""
        return any(crash.record != "missing" for crash in self.presumed.values())


def path_of(records: Path, prefix_part: str, stem: str) -> Path:
    """Return where the memory of a stack lies; no unit's record has a name like it."""
    return records / prefix_part / f"{stem}.watcher.json"


def read(path: Path) -> Memory | None:
    """Return the memory; None where there is none, or none to be trusted.

    OSError only where it cannot be looked for: no descriptor or memory left.
    """
    try:
        with trusted_files.opened_folder(str(path.parent)) as folder:
            return parse(trusted_files.read_file(folder, path.name, SIZE_LIMIT))
    except OSError as error:
        trusted_files.raise_exhausted(error)
        return None


def write(path: Path, memory: Memory) -> None:
    """Replace the memory; OSError when that cannot be done."""
    with trusted_files.opened_folder(str(path.parent), create=True) as folder:
        trusted_files.replace_file(folder, path.name, dump(memory))


def dump(memory: Memory) -> bytes:
    """Return the text of the file."""
    content = {
        "version": VERSION,
        "seen": memory.seen,
        "presumed": {unit: crash._asdict() for unit, crash in memory.presumed.items()},
        "recovery": memory.recovery._asdict(),
        "ending": memory.ending,
        "wasActive": memory.was_active,
        "reasons": {unit: reason._asdict() for unit, reason in memory.reasons.items()},
    }
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"


def parse(text: bytes) -> Memory | None:
    """Read the text of the file; None for one that is damaged or newer."""
    try:
        data = json.loads(text)
        if data["version"] != VERSION:
            return None
        recovery = data["recovery"]
        return Memory(
            seen={str(unit): float(at) for unit, at in data["seen"].items()},
            presumed={unit: _presumed(crash) for unit, crash in data.get("presumed", {}).items()},
            recovery=State(recovery["trigger"], _names(recovery["stopping"]), _names(recovery["waiting"])),
            ending=_names(data["ending"]),
            was_active=bool(data["wasActive"]),
            reasons={unit: _reason(reason) for unit, reason in data["reasons"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _names(value: Any) -> tuple[str, ...]:
    return tuple(str(name) for name in value)


def _presumed(value: Any) -> Presumed:
    record = value["record"]
    if record not in get_args(Awaited):
        raise ValueError(f"not what a record can be: {record!r}")
    return Presumed(str(value["run"]), record)


def _reason(value: Any) -> Reason:
    kind, cause = (str(value.get(key, "")) for key in ("kind", "cause"))
    return Reason(float(value["at"]), str(value["by"]), str(value["text"]), kind, cause)
