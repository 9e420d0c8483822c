"""A disposable machine that runs systemd: boot it, run commands in it, get its status, stop it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from omnitron.errors import NotPermittedError, OmnitronError, UsageError
from omnitron.sandbox import boot
from omnitron.sandbox.binds import Bind
from omnitron.sandbox.cgroup import MachineCgroup
from omnitron.sandbox.enter import ROOT, Account, command_line
from omnitron.sandbox.state import Options, Process, Record, RunDirectory, locked

BOOT_TIMEOUT = 30.0
STOP_TIMEOUT = 10.0
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
_TOOLS = {
    "systemd-nspawn": "systemd-container",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "mount": "mount",
}


@dataclass(frozen=True)
class SandboxStatus:
    """The state of a machine; all but `name` and `running` are None if it is down.

    `leader` is the pid of its init on the host, `systemd` the version of its systemd, `since` the seconds since
    its boot.
    """

    name: str
    running: bool
    leader: int | None = None
    systemd: int | None = None
    since: float | None = None


class Sandbox:
    """The machine `name`: an overlay of `root` on tmpfs, with a systemd of its own.

    `root` is a directory that holds a Debian, or None for the host's own files: then the interpreter, its
    packages and the current directory have the same paths inside. Nothing is written below `root`.
    Every method needs root, and raises NotPermittedError without.
    """

    def __init__(self, name: str = "omnitron", root: Path | None = None) -> None:
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"cannot name a machine '{name}': not a host name",
                hint="use up to 40 of a-z, 0-9 and -, and no - at either end",
            )
        self.name = name
        self.root = root
        self._run = RunDirectory(name)
        self._cgroup = MachineCgroup(name)

    def up(self, binds: Sequence[Path | Bind] = (), private_network: bool = False, unit: str = "basic.target") -> None:
        """Boot the machine to `unit` and wait until its systemd and its system bus answer.

        `binds` are host paths that it shares with the host. It has the host's network, or only a loopback
        of its own. Nothing happens if it is up already. OmnitronError if it was booted with other
        options; BootError if it is not up within 30 seconds, and then everything of it is removed.
        """
        self._require_root("boot")
        shared = [bind if isinstance(bind, Bind) else Bind(bind) for bind in binds]
        self._require_systemd()
        options = Options(
            str(self.root.resolve() if self.root else "/"),
            tuple(bind.option() for bind in shared),
            private_network,
            unit,
        )
        try:
            with locked():
                self._up(options, shared)
        except OSError as error:
            raise boot.failure(self.name, _reason(error)) from error

    def down(self) -> None:
        """Power the machine off and remove everything of it, also if it has crashed or hangs."""
        self._require_root("stop")
        try:
            with locked():
                self._down()
        except OSError as error:
            raise OmnitronError(f"cannot stop machine '{self.name}': {_reason(error)}") from error

    def status(self) -> SandboxStatus:
        """Return the state of the machine."""
        record = self._record()
        if record is None:
            return SandboxStatus(self.name, running=False)
        return SandboxStatus(self.name, True, record.leader.pid, record.systemd, record.leader.age())

    def argv(
        self,
        argv: Sequence[str],
        *,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> list[str]:
        """Return the command line, for the host, that runs `argv` inside; see `omnitron.sandbox.enter`.

        Standard input and output, terminal or not, are passed through, and so is the exit status. `user`
        is an account of the machine; call `user_manager` first to use its service manager.
        """
        leader = self._leader()
        account = ROOT if user in (None, "root") else self._account(str(user))
        if account is None:
            raise UsageError(f"cannot run as '{user}': machine '{self.name}' has no such account")
        return command_line(leader, self._cgroup.guest(), argv, account=account, env=env, cwd=cwd)

    def popen(
        self,
        argv: Sequence[str],
        *,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: int | IO[str] | None = None,
        stdout: int | IO[str] | None = None,
        stderr: int | IO[str] | None = None,
    ) -> subprocess.Popen[str]:
        """Start `argv` inside; streams as in subprocess, in UTF-8, None for those of the caller."""
        return subprocess.Popen(
            self.argv(argv, user=user, env=env, cwd=cwd),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            encoding="utf-8",
            errors="replace",
        )

    def exec(
        self,
        argv: Sequence[str],
        *,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        input: str | None = None,
        capture: bool = False,
        timeout: float | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run `argv` inside to its end. A status other than 0 is not an error.

        `capture` keeps its output and error output for the result. After `timeout` seconds it is killed,
        and subprocess.TimeoutExpired raised; a command with a timeout cannot read from the terminal.
        """
        # Killed from inside: killing nsenter would leave the command running.
        limit = [] if timeout is None else ["timeout", "--signal=KILL", str(timeout)]
        pipe = subprocess.PIPE if capture else None
        started = time.monotonic()
        with self.popen(
            [*limit, *argv],
            user=user,
            env=env,
            cwd=cwd,
            stdin=None if input is None else subprocess.PIPE,
            stdout=pipe,
            stderr=pipe,
        ) as process:
            output, error = process.communicate(input)
        killed = process.returncode == -signal.SIGKILL
        if timeout is not None and killed and time.monotonic() - started >= timeout:
            raise subprocess.TimeoutExpired(list(argv), timeout, output, error)
        return subprocess.CompletedProcess(list(argv), process.returncode, output, error)

    def user_manager(self, user: str) -> None:
        """Start the service manager of `user`; create the account if there is none."""
        account = self._account(user)
        if account is None:
            self._check(["useradd", "--create-home", "--shell=/bin/bash", user], f"add account '{user}'")
            account = self._account(user)
        assert account
        self._check(["systemctl", "start", f"user@{account.uid}.service"], f"start a manager for '{user}'")

    def has_directory(self, path: Path) -> bool:
        """Return whether the absolute `path` is a directory inside."""
        return self.exec(["test", "-d", str(path)]).returncode == 0

    def _up(self, options: Options, shared: Sequence[Bind]) -> None:
        record = self._record()
        if record and record.options == options:
            return
        if record:
            raise OmnitronError(
                f"cannot boot machine '{self.name}': it is up already, with other options",
                hint="take it down first: omnitron sandbox down",
            )
        self._require_tools()
        self._down()
        try:
            self._boot(options, shared)
        except BaseException:
            self._down()
            raise

    def _boot(self, options: Options, shared: Sequence[Bind]) -> None:
        deadline = time.monotonic() + BOOT_TIMEOUT
        self._run.create()
        self._cgroup.create()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(self._run.notify))
            boot.launch(self.name, self._run, self._cgroup.join(), options, boot.binds_for(options, shared))
            pid = boot.wait_ready(self.name, self._run, notify, self._cgroup.populated, BOOT_TIMEOUT)
        leader = Process.read(pid)
        if leader is None:
            raise boot.ended(self.name, self._run)
        inside = command_line(pid, self._cgroup.guest(), boot.SETTLE)
        version = boot.settle(self.name, self._run, inside, deadline - time.monotonic())
        self._run.write(Record(leader, version, options))

    def _down(self) -> None:
        record = self._record()
        if record:
            with contextlib.suppress(ProcessLookupError):
                os.kill(record.leader.pid, signal.SIGRTMIN + 4)
            self._cgroup.wait_powered_off(STOP_TIMEOUT)
        self._cgroup.kill()
        self._cgroup.remove()
        self._run.remove()

    def _record(self) -> Record | None:
        try:
            return self._run.running()
        except PermissionError:
            raise self._not_permitted("look at") from None

    def _leader(self) -> int:
        record = self._record()
        if record is None:
            raise OmnitronError(
                f"cannot enter machine '{self.name}': it is not up", hint="boot it: omnitron sandbox up"
            )
        return record.leader.pid

    def _account(self, user: str) -> Account | None:
        entry = self.exec(["getent", "passwd", user], capture=True)
        return Account.parse(entry.stdout) if entry.returncode == 0 else None

    def _check(self, argv: Sequence[str], what: str) -> None:
        done = self.exec(argv, capture=True)
        if done.returncode:
            why = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
            raise OmnitronError(f"cannot {what}: {why}")

    def _require_root(self, verb: str) -> None:
        if os.geteuid() != 0:
            raise self._not_permitted(verb)

    def _not_permitted(self, verb: str) -> NotPermittedError:
        return NotPermittedError(f"cannot {verb} machine '{self.name}': only root can", hint="run it with sudo")

    def _require_systemd(self) -> None:
        root = self.root or Path("/")
        if not (root / "usr/lib/systemd/systemd").exists():
            raise UsageError(
                f"cannot boot machine '{self.name}': no systemd below {root}",
                hint="use a Debian root directory with systemd and dbus",
            )

    def _require_tools(self) -> None:
        for tool, package in _TOOLS.items():
            if not shutil.which(tool):
                raise OmnitronError(
                    f"cannot boot machine '{self.name}': {tool} is not installed",
                    hint=f"apt-get install {package}",
                )


def _reason(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
