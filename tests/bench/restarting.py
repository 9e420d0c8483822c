"""From kill -9 to the first instruction of the new process, beside a bare two-line unit."""

from __future__ import annotations

from tests.bench.machine import booted, systemd_version
from tests.bench.table import Row, median

KILLS = 25

# Alternates between the units, so that all see the same noise. The worker writes the time at which it
# begins; a C program could do so sooner, but all units run the same one.
MEASURE = """\
import os, subprocess, time
def show(unit, prop):
    return subprocess.run(["systemctl", "show", "-P", prop, unit], capture_output=True, text=True).stdout.strip()
times = {{unit: [] for unit in {units!r}}}
for _ in range({kills}):
    for unit, path in {units!r}.items():
        pid = int(show(unit, "MainPID"))
        os.unlink(path)
        before = time.clock_gettime(time.CLOCK_MONOTONIC)
        os.kill(pid, 9)
        while not (os.path.exists(path) and os.path.getsize(path)):
            time.sleep(0.0005)
        times[unit].append(1000 * (float(open(path).read()) - before))
        while show(unit, "ActiveState") != "active":
            time.sleep(0.01)
        time.sleep({pause})
print(repr(times))
"""

WORKER = """\
import os, sys, time
now = time.clock_gettime(time.CLOCK_MONOTONIC)
with open(sys.argv[1] + ".new", "w") as file:
    file.write(str(now))
os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(10000)
"""

AT_ONCE = {"restartPolicy": {"backoff": {"initial": 0}, "maxRestarts": 100000}}
DELAY_MS = 1000
DELAYED = {"restartPolicy": {"backoff": {"type": "fixed", "initial": DELAY_MS, "max": DELAY_MS}, "maxRestarts": 10000}}
BARE = """\
[Unit]
StartLimitIntervalSec=0
[Service]
ExecStart=/usr/bin/python3 -I -S /srv/bench/worker.py /run/marks/bare
Restart=always
RestartSec=0
"""
SANDBOX = ("User", "NoNew", "Private", "Protect", "Restrict", "Lock", "SystemCall", "Capability", "Bind", "ReadWrite")


def measure() -> list[Row]:
    """Return the rows of restarts at once, and of the delay that a policy asks for."""
    with booted() as bench:
        bench.write("/srv/bench/worker.py", WORKER)
        bench.run("install", "-d", "-m", "777", "/run/marks")
        bench.write("/run/systemd/system/bare.service", BARE)
        apps = []
        for name, more in (("off", {**AT_ONCE, "hardening": "off"}), ("strict", AT_ONCE), ("delayed", DELAYED)):
            command = ["/usr/bin/python3", "-I", "-S", "/srv/bench/worker.py", f"/run/marks/{name}"]
            paths = {"write": ["/run/marks"]}
            apps.append({"name": name, "command": command, "user": "www-data", "paths": paths, **more})
        bench.project(apps)
        # What systemd itself takes for the same sandbox, with nothing of ours in the unit.
        lines = bench.run("cat", "/etc/systemd/system/bench-dev-strict-main.service").splitlines()
        sandbox = "[Service]\n" + "\n".join(line for line in lines if line.startswith(SANDBOX)) + "\n"
        bench.write("/run/systemd/system/boxed.service", BARE.replace("marks/bare", "marks/boxed"))
        bench.write("/run/systemd/system/boxed.service.d/sandbox.conf", sandbox)
        bench.run("systemctl", "daemon-reload")
        bench.run("systemctl", "start", "bare.service", "boxed.service", "bench-dev.target")
        units = {f"{name}.service": f"/run/marks/{name}" for name in ("bare", "boxed")}
        units |= {f"bench-dev-{app['name']}-main.service": f"/run/marks/{app['name']}" for app in apps}
        bench.run("sleep", "1")
        found = eval(bench.script(MEASURE.format(units=units, kills=KILLS, pause=0.05)))
    medians = {unit: median(times) for unit, times in found.items()}
    bare = medians["bare.service"]
    peer = f"bare unit, systemd {systemd_version()}"
    strict, delayed = medians["bench-dev-strict-main.service"], medians["bench-dev-delayed-main.service"]
    return [
        Row(
            "kill to first instruction, hardening off", medians["bench-dev-off-main.service"], peer, bare, "at most 1.2"
        ),
        Row("kill to first instruction, strict", strict, peer, bare, f"at most 5 ms more: {strict - bare:.1f}"),
        Row(
            "the same, beside a bare unit in the same sandbox", strict, "bare unit, boxed", medians["boxed.service"], ""
        ),
        Row(
            f"the same after a delay of {DELAY_MS} ms",
            delayed,
            "",
            None,
            f"at most 60 ms more: {delayed - DELAY_MS:.1f}",
        ),
    ]
