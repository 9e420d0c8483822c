"""Compile, validate and write 1,000 processes, beside `honcho export systemd` for the same 1,000."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench.table import Row, median, timed_ms

COUNT = 1000
RUNS = 7
BIN = Path(sys.executable).parent


def measure() -> list[Row]:
    """Return the rows: a first generate, and one with nothing to do. Runs alternate with the peer's."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "Procfile").write_text("".join(f"p{n}: sleep {1000 + n}\n" for n in range(COUNT)))
        apps = "".join(f"  - {{name: p{n}, command: [sleep, '{1000 + n}'], user: www-data}}\n" for n in range(COUNT))
        text = f"project: bench\nunitPrefix: bench\napps:\n{apps}stacks:\n  dev: {{type: local}}\n"
        (folder / "omnitron.config.yaml").write_text(text)
        times: dict[str, list[float]] = {"first": [], "again": [], "honcho": []}
        for _ in range(RUNS):
            for output in ("root", "out"):
                shutil.rmtree(folder / output, ignore_errors=True)
            generate = [BIN / "omnitron", "generate", "--root", folder / "root"]
            times["first"].append(_run(generate, folder))
            times["again"].append(_run(generate, folder))
            export = [BIN / "honcho", "export", "systemd", "out", "-a", "bench", "-u", "www-data"]
            times["honcho"].append(_run(export, folder))
    honcho = median(times["honcho"])
    return [
        Row("generate, 1,000 processes", median(times["first"]), "honcho export systemd", honcho, "at most 2.5"),
        Row("generate, nothing to do", median(times["again"]), "honcho export systemd", honcho, "at most 1.5"),
    ]


def _run(command: list[str | Path], folder: Path) -> float:
    def action() -> None:
        subprocess.run(command, cwd=folder, check=True, capture_output=True)

    return timed_ms(action)
