"""The health probes that a sweep runs: one file for each stack and interval, beside the policy; `generate` writes it.

{"version": 1, "source": "/srv/shop/omnitron.config.yaml", "stem": "omnitron-dev", "probes": [{"unit":
"omnitron-dev-web-main.service", "kind": "http", "argv": ["http://127.0.0.1:3000/health"], "timeout": 5000,
"retries": 3, "startPeriod": 0}]}
"""

from __future__ import annotations

import json

from ..light.namedtuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSION = 1
SIZE_LIMIT = 64 * 1024 * 1024  # bytes
KEYS = {"unit": "unit", "kind": "kind", "argv": "argv", "timeout": "timeout_ms", "retries": "retries"}
KEYS |= {"startPeriod": "start_period_ms"}
"""The fields of a probe by their keys in the file."""


class Probe(NamedTuple):
    """One service to probe, a template for each instance of a pool.

    `kind` and `argv` are as in `omnitron.supervision.probes`, `retries` the failures in a row that are too many;
    failures in `start_period_ms` after a start do not count.
    """

    unit: str
    kind: str
    argv: tuple[str, ...]
    timeout_ms: int
    retries: int
    start_period_ms: int


class StackProbes(NamedTuple):
    """The probes of a stack with the same interval; `source` is its definition, `stem` begins its units' names."""

    source: str
    stem: str
    probes: tuple[Probe, ...]


def marshal(probes: StackProbes) -> str:
    """The text of the file."""
    each = [{key: getattr(probe, field) for key, field in KEYS.items()} for probe in probes.probes]
    data = {"version": VERSION, "source": probes.source, "stem": probes.stem, "probes": each}
    return json.dumps(data, ensure_ascii=False) + "\n"


def read(path: str) -> StackProbes:
    """The probes in the file at `path`; OSError, or ValueError with what to do where it cannot be used."""
    with open(path, "rb") as file:  # noqa: PTH123 - pathlib is slow to import
        content = file.read(SIZE_LIMIT)
    try:
        data = json.loads(content)
        version = data.pop("version")
        if version == VERSION:
            return _stack(**data)
        why = "a newer omnitron wrote it" if version > VERSION else "an older omnitron wrote it"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _unusable(path, "it is damaged") from error
    raise _unusable(path, why)


def _unusable(path: str, why: str) -> ValueError:
    return ValueError(f"cannot read {path}: {why}; `omnitron generate` writes it again")


def _stack(source: object, stem: object, probes: object) -> StackProbes:
    return StackProbes(_exact(str, source), _exact(str, stem), tuple(_probe(each) for each in _exact(list, probes)))


def _probe(data: dict[str, Any]) -> Probe:
    if data.keys() != KEYS.keys():
        raise ValueError("other keys")
    argv = tuple(_exact(str, word) for word in _exact(list, data["argv"]))
    numbers = [_exact(int, data[key]) for key in ("timeout", "retries", "startPeriod")]
    return Probe(_exact(str, data["unit"]), _exact(str, data["kind"]), argv, *numbers)


def _exact(kind: type[Any], value: object) -> Any:
    # True is an int for isinstance.
    if type(value) is not kind:
        raise TypeError(f"not a {kind.__name__}")
    return value
