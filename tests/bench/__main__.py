"""Measurements, printed as a table: `make bench`, or `python -m tests.bench NAME…` for some of them.

`structure` takes the path of another checkout too: `python -m tests.bench structure ../before`.

Each line names what was measured, the median, the peer measured beside it in the same run, and the ratio.
The machine should be idle.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.bench import compiling, hosting, infrastructure, peers, restarting, starting, status, structure, watching
from tests.bench.table import Row, show

BENCHES = {
    "compiling": compiling.measure,
    "status": status.measure,
    "restarting": restarting.measure,
    "starting": starting.measure,
    "hosting": hosting.measure,
    "watching": watching.measure,
    "infrastructure": infrastructure.measure,
    "peers": peers.measure,
    "structure": structure.measure,
}


def main() -> None:
    """Run the named measurements, all by default."""
    names = [word for word in sys.argv[1:] if word in BENCHES]
    checkouts = [Path(word).resolve() for word in sys.argv[1:] if word not in BENCHES]
    for path in checkouts:
        if "structure" not in names or not (path / "omnitron").is_dir():
            sys.exit(
                f"cannot measure {path}: no such measurement, nor a checkout for `structure`: {', '.join(BENCHES)}"
            )
    rows: list[Row] = []
    for name in names or BENCHES:
        print(f"measuring {name} …", file=sys.stderr)
        if name == "structure" and checkouts:
            rows += [row for path in checkouts for row in structure.measure(path)]
        else:
            rows += BENCHES[name]()
    show(rows)


if __name__ == "__main__":
    main()
