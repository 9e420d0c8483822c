"""The systemd that benchmarks run in: the host's own, or that of another Debian, in the sandbox."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import inotify_simple

from omnitron.sandbox import Bind, Sandbox, debian_root

BIN = Path(sys.executable).parent
CHECKOUT = Path(__file__).parents[2]
CHECKOUT_IN_DEBIAN = "/opt/checkout"
INSTALLED = "/opt/omnitron"


class Bench:
    """A booted sandbox, and a project in it. `python` is an interpreter there that has omnitron."""

    def __init__(self, sandbox: Sandbox, python: str) -> None:
        self.sandbox = sandbox
        self.python = python

    def run(self, *argv: str | Path, cwd: Path | None = None) -> str:
        """Run a command in it; its output."""
        done = self.sandbox.exec([str(word) for word in argv], cwd=cwd, capture=True, timeout=300)
        if done.returncode not in (0, 1):
            raise RuntimeError(f"{argv}: {done.stderr}")
        return done.stdout

    def script(self, text: str) -> str:
        """Run Python code in it; its output."""
        done = self.sandbox.exec([self.python, "-c", text], capture=True, timeout=900)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout

    def write(self, path: str, text: str) -> None:
        """Write a file in it."""
        self.sandbox.exec(["install", "-D", "/dev/stdin", path], input=text, capture=True)

    def pss_mb(self, pid: int) -> float:
        """Return the memory of a process, shared pages by share; 0 for one that is gone."""
        lines = self.run("cat", f"/proc/{pid}/smaps_rollup").splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024

    def cpu_s(self, pid: int) -> float:
        """Return the CPU time that a process has used, in seconds."""
        fields = self.run("cat", f"/proc/{pid}/stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def project(self, apps: list[dict[str, Any]], **more: Any) -> Path:
        """Write a definition to /srv/bench and generate its units."""
        definition = {"project": "bench", "unitPrefix": "bench", "apps": apps, **more}
        self.write("/srv/bench/omnitron.config.json", json.dumps(definition))
        self.run(self.python, "-m", "omnitron", "generate", cwd=Path("/srv/bench"))
        return Path("/srv/bench")


@contextmanager
def booted(suite: str | None = None) -> Iterator[Bench]:
    """Boot a sandbox for one measurement: of the host's files, or of the Debian `suite`."""
    if os.geteuid() != 0:
        sys.exit("benchmarks boot a sandbox, which only root can: sudo make bench")
    name = f"omnitron-bench-{os.getpid()}"
    sandbox = Sandbox(name, debian_root(suite)) if suite else Sandbox(name)
    sandbox.up([Bind(CHECKOUT, Path(CHECKOUT_IN_DEBIAN), read_only=True)] if suite else (), private_network=True)
    try:
        bench = Bench(sandbox, "/usr/bin/python3" if suite else sys.executable)
        if suite:
            packages = "/usr/lib/python3/dist-packages"
            # As a package installs it: compiled by the interpreter that runs it.
            bench.run("install", "-d", INSTALLED)
            bench.run(
                "cp", "-r", *(f"{CHECKOUT_IN_DEBIAN}/{part}" for part in ("omnitron", "unit_templates")), INSTALLED
            )
            bench.run(bench.python, "-m", "compileall", "-q", f"{INSTALLED}/omnitron")
            bench.write(f"{packages}/omnitron.pth", f"{INSTALLED}\n")
            # Debian has all that it needs but this.
            bench.write(f"{packages}/inotify_simple.py", Path(inotify_simple.__file__).read_text())
        yield bench
    finally:
        sandbox.down()


def systemd_version() -> str:
    """The version that is measured."""
    return subprocess.run(["systemctl", "--version"], capture_output=True, text=True).stdout.split()[1]
