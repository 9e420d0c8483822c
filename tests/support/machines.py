"""What a system test does with a machine: run, write, read, wait."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, TypeVar

import inotify_simple

from omnitron.sandbox import Bind, Sandbox, debian_root
from omnitron.sandbox.state import machines
from tests.support.checkout import PREFIX, copy_checkout, remove_stale_copies

T = TypeVar("T")

INSTALLATION = Path("/opt/omnitron")
"""Where a machine has the copy that `installation` makes."""
_ONLY_OUTSIDE = ("mypy", "*mypyc*", "ruff*", "pip", "setuptools", "hypothesis", "_pytest")
"""What is only run outside of machines, and makes up most of a virtual environment."""


class Machine:
    """A booted machine with omnitron on it.

    `code` is where the checkout is inside, `python` the argv prefix of an interpreter that imports it, `pause_s` the
    time between two questions: on a slow machine they are in the way of what they wait for. `slower` is how many
    times as long as on an idle host everything may take.
    """

    def __init__(
        self, sandbox: Sandbox, interpreter: str, code: Path, pause_s: float = 0.05, slower: float = 3.0
    ) -> None:
        self.sandbox = sandbox
        self.code = code
        self.pause_s = pause_s
        self.slower = slower
        self.python = ["/usr/bin/env", f"PYTHONPATH={code}", "PYTHONDONTWRITEBYTECODE=1", interpreter]

    def run(
        self,
        *argv: str,
        check: bool = True,
        input: str | None = None,
        user: str | None = None,
        cwd: Path | str | None = None,
        timeout: float = 60,
    ) -> CompletedProcess[str]:
        """Run a command as root, or as `user`, and keep its output; a failure is a failed test."""
        where = Path(cwd) if cwd else None
        done = self.sandbox.exec(argv, user=user, cwd=where, input=input, capture=True, timeout=timeout * self.slower)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(argv)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def omnitron(
        self,
        *args: str,
        check: bool = True,
        input: str | None = None,
        user: str | None = None,
        cwd: Path | str | None = None,
    ) -> CompletedProcess[str]:
        """Run omnitron with `args`."""
        return self.run(*self.python, "-m", "omnitron", *args, check=check, input=input, user=user, cwd=cwd)

    def systemctl(self, *args: str, check: bool = True) -> str:
        """Run systemctl; what it printed."""
        return self.run("systemctl", *args, check=check).stdout

    def restart_bus(self) -> None:
        """Restart the system's bus; logind of 257 must come along, for it stays deaf and keeps everybody from login."""
        # However often that is done.
        self.systemctl("reset-failed", "dbus.service", "systemd-logind.service", check=False)
        self.systemctl("restart", "dbus.service")
        self.systemctl("try-restart", "systemd-logind.service")

    def show(self, unit: str, prop: str) -> str:
        """The value of one property of a unit, as `systemctl show` prints it."""
        return self.systemctl("show", "--value", f"--property={prop}", unit).rstrip("\n")

    def journal(self, unit: str) -> list[dict[str, Any]]:
        """What the journal has of a unit, oldest first."""
        self.run("journalctl", "--sync")
        lines = self.run("journalctl", "--no-pager", "--output=json", f"--unit={unit}").stdout
        return [json.loads(line) for line in lines.splitlines()]

    def write(self, path: Path | str, text: str, mode: int = 0o644, owner: str | None = None) -> None:
        """Make a file, and the directories it needs; `owner` is an account, its group comes along."""
        self.run("install", "-D", f"--mode={mode:o}", "/dev/stdin", str(path), input=text)
        if owner:
            self.run("chown", f"{owner}:", str(path))

    def read(self, path: Path | str) -> str:
        """The text of a file."""
        return self.run("cat", str(path)).stdout

    def wait(self, predicate: Callable[[], T], timeout: float = 10, what: str = "") -> T:
        """Ask until the answer is true, and return it; an exception of the predicate ends the wait."""
        deadline = time.monotonic() + timeout * self.slower
        while not (answer := predicate()):
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {timeout:g} s: {what or predicate}")
            time.sleep(self.pause_s)
        return answer

    def wait_for_unit(self, unit: str, timeout: float = 10) -> None:
        """Wait until a unit is active; fails at once when it is failed, or inactive with no job to change it."""
        self.wait(lambda: self._is_active(unit), timeout, f"{unit} is active")

    def _is_active(self, unit: str) -> bool:
        lines = self.systemctl("show", "--property=ActiveState,SubState,Result,Job", unit).splitlines()
        state = dict(line.split("=", 1) for line in lines)
        at_rest = state["ActiveState"] == "inactive" and not state["Job"]
        if state["ActiveState"] == "failed" or at_rest:
            raise AssertionError(f"{unit} will not become active: {state}\n{self._last_words(unit)}")
        return state["ActiveState"] == "active"

    def _last_words(self, unit: str) -> str:
        return self.run("systemctl", "status", "--no-pager", "--lines=20", unit, check=False).stdout


@cache
def installation() -> Path:
    """Copy what runs in a machine to a folder of this process's own, and return it.

    The checkout may lie where units and other users cannot see it: below /tmp, or in a home that is shut.
    """
    remove_stale_copies()
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}-{os.getpid()}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    copy_checkout(folder, ("omnitron", "unit_templates", "examples"), INSTALLATION, without=_ONLY_OUTSIDE)
    return folder


@contextmanager
def host_overlay() -> Iterator[Machine]:
    """A machine made of the host's own files, with the installation on `INSTALLATION`, read-only."""
    share = Bind(installation(), INSTALLATION, read_only=True)
    is_virtual = sys.prefix != sys.base_prefix
    python = INSTALLATION / ".venv" / Path(sys.executable).relative_to(sys.prefix) if is_virtual else sys.executable
    with _booted(Sandbox(_name("host")), [share]) as sandbox:
        yield Machine(sandbox, str(python), INSTALLATION)


@contextmanager
def debian(suite: str) -> Iterator[Machine]:
    """A machine with another Debian; the installation is on `INSTALLATION`, read-only."""
    share = Bind(installation(), INSTALLATION, read_only=True)
    with _booted(Sandbox(_name(suite), debian_root(suite)), [share]) as sandbox:
        machine = Machine(sandbox, "/usr/bin/python3", INSTALLATION)
        # As if it were installed: a process host is started without any variable.
        machine.write("/usr/lib/python3/dist-packages/omnitron.pth", f"{INSTALLATION}\n")
        # Debian has all that it needs but this.
        machine.write("/usr/lib/python3/dist-packages/inotify_simple.py", Path(inotify_simple.__file__).read_text())
        yield machine


@contextmanager
def _booted(sandbox: Sandbox, binds: Sequence[Bind] = ()) -> Iterator[Sandbox]:
    sandbox.up(binds, private_network=True)
    try:
        yield sandbox
    finally:
        sandbox.down()


def _name(what: str) -> str:
    return f"{PREFIX}-{what}-{os.getpid()}"


def remove_stale() -> None:
    """Take down what a killed test session has left: its pid is in the name."""
    for name in machines():
        pid = name.rpartition("-")[2]
        if name.startswith(PREFIX) and not Path(f"/proc/{pid}").exists():
            Sandbox(name).down()
