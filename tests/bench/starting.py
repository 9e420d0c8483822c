"""Start and stop of 200 processes beside 200 bare units, and what each ingredient costs."""

from __future__ import annotations

from typing import Any

from tests.bench.machine import booted
from tests.bench.table import Row, median

COUNT = 200
RUNS = 3

MEASURE = """\
import subprocess, time
times = {{target: ([], []) for target in {targets!r}}}
for _ in range({runs}):
    for target in {targets!r}:
        for verb, into in zip(("start", "stop"), times[target]):
            before = time.perf_counter()
            subprocess.run(["systemctl", verb, target], check=True)
            into.append(1000 * (time.perf_counter() - before))
            time.sleep(0.5)
print(repr(times))
"""

NO_HELPERS = {"restartPolicy": {"backoff": {"initial": 0}}}
VARIANTS: dict[str, dict[str, Any]] = {
    "no helpers, hardening off": {**NO_HELPERS, "hardening": "off"},
    "helpers, hardening off": {"hardening": "off"},
    "no helpers, strict": NO_HELPERS,
    "helpers, strict (the default)": {},
}


def measure() -> list[Row]:
    """Return the rows: one start and one stop for each set of ingredients."""
    with booted() as bench:
        wants = "".join(f"Wants=bare-{n}.service\n" for n in range(COUNT))
        bench.write("/run/systemd/system/bare.target", f"[Unit]\n{wants}")
        text = "[Unit]\nPartOf=bare.target\n[Service]\nUser=www-data\nExecStart=sleep 9999\n"
        writer = f"for n in range({COUNT}): open(f'/run/systemd/system/bare-{{n}}.service', 'w').write({text!r})"
        bench.script(writer)
        stacks: dict[str, Any] = {}
        apps = []
        for number, more in enumerate(VARIANTS.values()):
            names = [f"v{number}-p{n}" for n in range(COUNT)]
            apps += [{"name": name, "command": ["sleep", "9999"], "user": "www-data", **more} for name in names]
            stacks[f"v{number}"] = {"type": "local", "apps": names}
        bench.project(apps, stacks=stacks)
        targets = ["bare.target", *(f"bench-v{number}.target" for number in range(len(VARIANTS)))]
        found = eval(bench.script(MEASURE.format(targets=targets, runs=RUNS)))
    rows = []
    for index, verb in enumerate(("start", "stop")):
        bare = median(found["bare.target"][index])
        for number, what in enumerate(VARIANTS):
            mine = median(found[f"bench-v{number}.target"][index])
            rows.append(Row(f"{verb} of {COUNT}: {what}", mine, f"{COUNT} bare units", bare))
    return rows
