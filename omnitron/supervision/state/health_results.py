"""Results of health probes: one JSON file for each stack and interval, in `/run/omnitron/<prefix>/`.

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
MESSAGE_LIMIT = 300  # characters


class Result(NamedTuple):
    """The last check of a service.

    `failures`: number in a row up to this check. `message`: reason of the failure, empty for none. `at`: time of the
    check (unix seconds). `invocation`: id of the run of the service that failed.
    """

    failures: int
    message: str
    at: float
    invocation: str


def judged(before: Result | None, trouble: str | None, invocation: str, now: float) -> Result:
    """Return the result of a check with the failure `trouble`, None for success. A new run starts with no failures."""
    if trouble is None:
        return Result(0, "", now, "")
    earlier = before.failures if before and before.invocation == invocation else 0
    return Result(earlier + 1, trouble[:MESSAGE_LIMIT], now, invocation)


def read(path: str) -> dict[str, Result]:
    """Return the results at `path`, by service; none if the file is missing, damaged, or not trusted."""
    folder, name = path.rsplit("/", 1)
    try:
        with trusted_files.opened_folder(folder) as descriptor:
            data = json.loads(trusted_files.read_file(descriptor, name, SIZE_LIMIT))
        return {
            unit: Result(int(entry["failures"]), str(entry["message"]), float(entry["at"]), str(entry["of"]))
            for unit, entry in data.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def write(path: str, results: Mapping[str, Result]) -> None:
    """Replace the results; OSError if that fails."""
    folder, name = path.rsplit("/", 1)
    content = {
        unit: {"failures": result.failures, "message": result.message, "at": result.at, "of": result.invocation}
        for unit, result in results.items()
    }
    with trusted_files.opened_folder(folder, create=True) as descriptor, trusted_files.locked(descriptor, name):
        trusted_files.replace_file(descriptor, name, json.dumps(content, separators=(",", ":")).encode() + b"\n")
