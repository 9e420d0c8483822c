"""Measurements, printed as a table: `make bench`, or `python -m tests.bench NAME…` for some of them.

Each line names what was measured, the median, the peer measured beside it in the same run, and the ratio.
The machine should be idle.
"""

from __future__ import annotations

import sys

from tests.bench import compiling, hosting, infrastructure, peers, restarting, starting, status, watching
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
}


def main() -> None:
    """Run the named measurements, all by default."""
    rows: list[Row] = []
    for name in sys.argv[1:] or BENCHES:
        print(f"measuring {name} …", file=sys.stderr)
        rows += BENCHES[name]()
    show(rows)


if __name__ == "__main__":
    main()
