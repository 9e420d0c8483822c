"""What the rounds of health probes found: one JSON file for each stack and interval, in `/run/omnitron/<prefix>/`.

{"omnitron-dev-web-main.service": {"failures": 1, "message": "status 500", "at": 1764000000.5, "of": "9f…"}}
"""

from __future__ import annotations

import json

from ..light.namedtuple import NamedTuple
from . import trusted_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

SIZE_LIMIT = 4 * 1024 * 1024  # bytes
MESSAGE_KEPT = 300  # characters


class Result(NamedTuple):
    """The last check of a service.

    `failures` in a row up to it, `message` why it failed (empty if it did not), `at` when (unix seconds),
    `invocation` which run of the service failed.
    """

    failures: int
    message: str
    at: float
    invocation: str


def judged(before: Result | None, trouble: str | None, invocation: str, now: float) -> Result:
    """The result of a check that ended with `trouble`, None for none. A new run of the service starts at nothing."""
    if trouble is None:
        return Result(0, "", now, "")
    earlier = before.failures if before and before.invocation == invocation else 0
    return Result(earlier + 1, trouble[:MESSAGE_KEPT], now, invocation)


def read(path: str) -> dict[str, Result]:
    """The results at `path`, by service; none where they are missing, damaged, or not to be trusted."""
    folder, name = path.rsplit("/", 1)
    try:
        with trusted_files.opened_folder(folder) as descriptor:
            data = json.loads(trusted_files.read_file(descriptor, name, SIZE_LIMIT))
        return {
            unit: Result(int(one["failures"]), str(one["message"]), float(one["at"]), str(one["of"]))
            for unit, one in data.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def write(path: str, results: Mapping[str, Result]) -> None:
    """Replace the results; OSError when that cannot be done."""
    folder, name = path.rsplit("/", 1)
    content = {
        unit: {"failures": one.failures, "message": one.message, "at": one.at, "of": one.invocation}
        for unit, one in results.items()
    }
    with trusted_files.opened_folder(folder, create=True) as descriptor, trusted_files.locked(descriptor, name):
        trusted_files.replace_file(descriptor, name, json.dumps(content, separators=(",", ":")).encode() + b"\n")
