"""The systemd that benchmarks run in: the host's own, in the sandbox."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omnitron.sandbox import Sandbox

BIN = Path(sys.executable).parent


class Bench:
    """A booted sandbox, and a project in it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def run(self, *argv: str | Path, cwd: Path | None = None) -> str:
        """Run a command in it; its output."""
        done = self.sandbox.exec([str(word) for word in argv], cwd=cwd, capture=True, timeout=300)
        if done.returncode not in (0, 1):
            raise RuntimeError(f"{argv}: {done.stderr}")
        return done.stdout

    def script(self, text: str) -> str:
        """Run Python code in it, with this interpreter; its output."""
        done = self.sandbox.exec([sys.executable, "-c", text], capture=True, timeout=900)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout

    def write(self, path: str, text: str) -> None:
        """Write a file in it."""
        self.sandbox.exec(["install", "-D", "/dev/stdin", path], input=text, capture=True)

    def project(self, apps: list[dict[str, Any]], **more: Any) -> Path:
        """Write a definition to /srv/bench and generate its units."""
        definition = {"project": "bench", "unitPrefix": "bench", "apps": apps, **more}
        self.write("/srv/bench/omnitron.config.json", json.dumps(definition))
        self.run(BIN / "omnitron", "generate", cwd=Path("/srv/bench"))
        return Path("/srv/bench")


@contextmanager
def booted() -> Iterator[Bench]:
    """Boot a sandbox for one measurement."""
    if os.geteuid() != 0:
        sys.exit("benchmarks boot a sandbox, which only root can: sudo make bench")
    sandbox = Sandbox(f"omnitron-bench-{os.getpid()}")
    sandbox.up(private_network=True)
    try:
        yield Bench(sandbox)
    finally:
        sandbox.down()


def systemd_version() -> str:
    """The version that is measured."""
    return subprocess.run(["systemctl", "--version"], capture_output=True, text=True).stdout.split()[1]
