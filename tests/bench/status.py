"""`omnitron status` from a cold start, for 100 and for 1,000 running processes."""

from __future__ import annotations

from tests.bench.machine import BIN, booted
from tests.bench.table import Row, median

RUNS = 15

MEASURE = """\
import subprocess, time
times = []
for _ in range({runs}):
    before = time.perf_counter()
    subprocess.run({command!r}, stdout=subprocess.DEVNULL)
    times.append(1000 * (time.perf_counter() - before))
print(*times)
"""


def measure() -> list[Row]:
    """Return one row for each number of processes, beside `systemctl list-units` of the same."""
    rows = []
    for count, wanted in ((100, "at most 120 ms"), (1000, "at most 250 ms")):
        with booted() as bench:
            apps = [{"name": f"p{n}", "command": ["sleep", "9999"], "user": "www-data"} for n in range(count)]
            bench.project(apps)
            bench.run("systemctl", "start", "bench-dev.target")
            command = [str(BIN / "omnitron"), "status"]
            times = [float(word) for word in bench.script(MEASURE.format(runs=RUNS, command=command)).split()]
            peer = ["systemctl", "list-units", "--all", "bench-*"]
            floor = [float(word) for word in bench.script(MEASURE.format(runs=RUNS, command=peer)).split()]
        rows.append(Row(f"status, {count} running", median(times), "systemctl list-units", median(floor), wanted))
    return rows
