"""`omnitron run` on a real systemd: a one-off command is in every way like the app, and nothing of it stays."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.machines import Machine
from tests.support.projects import Make, Project

LIKE_THE_APP = """User Group DynamicUser Slice WorkingDirectory Environment StateDirectory CacheDirectory LimitNOFILE
MemoryMax CPUQuotaPerSecUSec CPUWeight TasksMax IOWeight NoNewPrivileges CapabilityBoundingSet AmbientCapabilities
ProtectSystem ProtectHome PrivateTmp PrivateDevices ProtectKernelTunables ProtectKernelModules ProtectKernelLogs
ProtectControlGroups ProtectClock ProtectHostname ProtectProc RestrictNamespaces RestrictAddressFamilies
RestrictSUIDSGID RestrictRealtime LockPersonality SystemCallFilter SystemCallErrorNumber SystemCallArchitectures
RemoveIPC UMask BindPaths BindReadOnlyPaths ReadWritePaths PrivateUsers MemoryDenyWriteExecute LogNamespace"""

SLEEP = ["sleep", "1000"]
APPS = [
    {
        "name": "api",
        "command": SLEEP,
        "env": {"GREETING": "100% $HOME"},
        "paths": {"state": True, "cache": "shared", "write": ["data"]},
        "limits": {"memoryMax": "100mb", "cpuQuota": "150%", "cpuWeight": 50, "tasksMax": 50, "ioWeight": 20},
        "systemd": {"service": {"LimitNOFILE": 777, "IPAddressDeny": "192.0.2.1"}},
    },
    {"name": "dyn", "command": SLEEP, "user": "dynamic", "instances": 2, "paths": {"state": True}},
    {"name": "free", "command": SLEEP, "user": "root", "hardening": "off"},
]


@pytest.fixture
def project(machine: Machine, make: Make) -> Iterator[Project]:
    project = make(APPS)
    machine.run("install", "-d", "-o", "www-data", f"{project.folder}/data")
    yield project
    assert left_over(project) == ""


def left_over(project: Project) -> str:
    return project.machine.systemctl("list-units", "--all", "--plain", "--no-legend", f"{project.prefix}-run-*")


def client(project: Project, *args: str) -> list[str]:
    """The command line, for the host, of `omnitron run` on the machine."""
    argv = [*project.machine.python, "-m", "omnitron", "run", *args]
    return project.machine.sandbox.argv(argv, cwd=Path(project.folder))


def innermost(pid: int) -> int:
    """The client itself, below the programs that enter the machine."""
    while children := Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        pid = int(children[0])
    return pid


def started(project: Project) -> str:
    """Wait for the unit of a run that has begun; its name."""
    project.machine.wait(lambda: " running " in left_over(project), 10, "the command runs")
    return left_over(project).split()[0]


def shown(machine: Machine, unit: str) -> dict[str, str]:
    lines = machine.systemctl("show", f"--property={','.join(LIKE_THE_APP.split())}", unit).splitlines()
    return dict(line.split("=", 1) for line in lines)


@pytest.mark.parametrize(("app", "instance"), [("api", None), ("dyn", 2), ("free", None)])
def test_it_is_like_the_app(machine: Machine, project: Project, app: str, instance: int | None) -> None:
    project.omnitron("generate")
    service = project.unit(app, instance=instance)
    machine.systemctl("start", service)
    address = app if instance is None else f"{app}@{instance}"
    process = subprocess.Popen(client(project, address, *SLEEP), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert shown(machine, started(project)) == shown(machine, service)
    machine.systemctl("stop", left_over(project).split()[0])
    assert process.wait(10) == 128 + signal.SIGTERM
    assert process.stderr
    with process.stderr as errors:
        said = errors.read().decode()
    assert ("IPAddressDeny= of" in said) == (app == "api")


def test_streams_and_exit_statuses(project: Project) -> None:
    done = project.omnitron("run", "api", "--", "sh", "-c", "cat; echo error >&2; exit 7", input="in\n", check=False)
    assert (done.stdout, done.returncode) == ("in\n", 7)
    assert done.stderr.endswith("error\n")
    assert project.omnitron("run", "free", "sh", "-c", "kill -KILL $$", check=False).returncode == 137
    for _ in range(5):
        # One of systemd's own: for what fails before the program.
        assert project.omnitron("run", "free", "sh", "-c", "exit 203", check=False).returncode == 203
    assert project.omnitron("run", "free", "true").stdout == ""
    missing = project.omnitron("run", "free", "--", "no-such-program", check=False)
    assert missing.returncode == 127
    assert "cannot run 'no-such-program' as dev/free:main: there is no such program" in missing.stderr
    assert re.search(r"systemd says: .* locate executable .*no-such-program.*: No such file", missing.stderr)


def test_what_cannot_run_is_told_also_when_the_journal_is_late(machine: Machine, project: Project) -> None:
    journald = machine.systemctl("show", "--property=MainPID", "--value", "systemd-journald").strip()
    machine.run("kill", "-STOP", journald)
    process = subprocess.Popen(client(project, "free", "--", "no-such-program"), stderr=subprocess.PIPE, text=True)
    # When it asks the journal, the process that could not become the program has ended.
    asks = ("pgrep", "-f", f"[j]ournalctl .*(UNIT|unit)={project.prefix}-run-")
    machine.wait(lambda: machine.run(*asks, check=False).returncode == 0, 10, "it asks the journal")
    machine.run("kill", "-CONT", journald)
    assert "there is no such program" in process.communicate(timeout=10)[1]
    assert process.returncode == 127


def test_arguments_and_environment_arrive_unchanged(machine: Machine, project: Project) -> None:
    nasty = ["%", "%n", "$HOME", "${HOME}", "$$", '"', "'", "\\", "\n", "\t", " x ", "#", ";", "€\U0001f600", "", "--"]
    show = project.write("show.py", "import json, os, sys\nprint(json.dumps([sys.argv[1:], dict(os.environ)]))\n")
    done = project.omnitron("run", "api", "--", "/usr/bin/python3", show, *nasty)
    arguments, environment = json.loads(done.stdout)
    assert arguments == nasty
    assert environment["GREETING"] == "100% $HOME"
    assert environment["OMNITRON_APP_NAME"] == "api"


def test_a_dynamic_user_shares_the_state_of_the_running_app(machine: Machine, project: Project) -> None:
    project.omnitron("generate")
    machine.systemctl("start", project.unit("dyn", instance=1))
    folder = f"/var/lib/private/{project.prefix}/dev/dyn"
    owner = machine.run("stat", "-c", "%u", folder).stdout
    uid = project.omnitron("run", "dyn", "--", "sh", "-c", 'touch "$STATE_DIRECTORY/x" && id -u').stdout
    assert uid == owner == machine.run("stat", "-c", "%u", folder).stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_client_stops_the_command(project: Project, number: signal.Signals) -> None:
    script = "trap 'echo asked; exit 0' TERM; echo up; while :; do sleep 0.1; done"
    process = subprocess.Popen(
        client(project, "api", "--", "sh", "-c", script), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    assert process.stdout
    with process.stdout as output:
        assert output.readline() == b"up\n"
        os.kill(innermost(process.pid), number)
        assert output.read() == b"asked\n"
    assert process.wait(10) == 128 + number


def test_a_command_that_ignores_its_stop_is_killed_on_the_second_signal(machine: Machine, project: Project) -> None:
    script = "trap '' TERM INT; echo up; while :; do sleep 0.1; done"
    process = subprocess.Popen(
        client(project, "api", "--", "sh", "-c", script), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    assert process.stdout
    with process.stdout as output:
        assert output.readline() == b"up\n"
        pid = innermost(process.pid)
        os.kill(pid, signal.SIGINT)
        machine.wait(lambda: "stop-sigterm" in left_over(project), 5, "it is being stopped")
        os.kill(pid, signal.SIGINT)
        assert process.wait(5) == 130


class Screen:
    """A terminal with a program in it."""

    def __init__(self, argv: list[str]) -> None:
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.execvp(argv[0], argv)
        self.resize(33, 101)
        self.seen = b""

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: str) -> None:
        os.write(self.descriptor, keys.encode())

    def expect(self, pattern: bytes, timeout: float = 10) -> None:
        """Wait until the program has written something; what is older is forgotten then."""
        deadline = time.monotonic() + timeout
        while not (match := re.search(pattern, self.seen)):
            assert time.monotonic() < deadline, f"no {pattern!r} in {self.seen!r}"
            if select.select([self.descriptor], [], [], 0.1)[0]:
                self.seen += self._read()
        self.seen = self.seen[match.end() :]

    def end(self, timeout: float = 60) -> int:
        """Read on to the end; the exit status."""
        deadline = time.monotonic() + timeout
        while True:
            if not select.select([self.descriptor], [], [], max(0, deadline - time.monotonic()))[0]:
                os.kill(self.pid, signal.SIGKILL)
                raise AssertionError(f"it does not end: {self.seen[-1000:]!r}")
            if not (data := self._read()):
                break
            self.seen += data
        os.close(self.descriptor)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _read(self) -> bytes:
        try:
            return os.read(self.descriptor, 65536)
        except OSError:
            return b""


# What is typed is shown too, so it must not read like what is printed.
BEGIN = "sh -c 'echo be''gun; exec sleep 1000'\n"


def test_a_shell_in_a_terminal(project: Project) -> None:
    screen = Screen(client(project, "api", "--", "bash", "--norc", "-i"))
    screen.type("PS1='ready> '\n")
    screen.expect(rb"\dh?ready> ")
    screen.type("stty size; tty\n")
    screen.expect(rb"33 101\r\n/dev/pts/\d+")
    screen.resize(40, 120)
    screen.type("sleep 0.3; stty size\n")
    screen.expect(rb"40 120")
    screen.type(BEGIN)
    screen.expect(rb"begun")
    screen.type("\x03")
    screen.expect(rb"\^C")
    screen.type(BEGIN)
    screen.expect(rb"begun")
    screen.type("\x1a")
    screen.expect(rb"Stopped")
    # A shell with a job that has not quite ended yet does not exit.
    screen.type(
        "kill %1; while kill -0 %1; do sleep 0.1; done 2>/dev/null; read -s -p password: x </dev/tty; echo got=$x\n"
    )
    screen.expect(rb"password:")
    screen.type("secret\n")
    screen.expect(rb"got=secret")
    screen.type("exit 5\n")
    assert screen.end() == 5


def test_control_c_ends_a_program_in_a_terminal(project: Project) -> None:
    screen = Screen(client(project, "api", "--", "sh", "-c", "echo up; exec sleep 1000"))
    screen.expect(rb"up")
    screen.type("\x03")
    assert screen.end() == 130


def test_all_output_arrives(project: Project) -> None:
    screen = Screen(client(project, "api", "--", "seq", "200000"))
    assert screen.end() == 0
    assert screen.seen.endswith(b"\r\n199999\r\n200000\r\n")


def test_a_terminal_and_a_pipe_together(project: Project, tmp_path: Path) -> None:
    inner = "tty; echo out; echo error >&2; echo direct >/dev/tty"
    words = " ".join(f"'{word}'" for word in client(project, "free", "--", "sh", "-c", inner))
    screen = Screen(["sh", "-c", f"{words} | sed s/^/piped:/ >{tmp_path}/out"])
    assert screen.end() == 0
    assert screen.seen.replace(b"\r\n", b"|").endswith(b"error|direct|")
    assert re.fullmatch(r"piped:/dev/pts/\d+\npiped:out\n", (tmp_path / "out").read_text())


def test_a_terminal_that_is_closed_ends_the_command(machine: Machine, project: Project) -> None:
    screen = Screen(client(project, "api", "--", "sh", "-c", "echo up; sleep 1000"))
    screen.expect(rb"up")
    os.close(screen.descriptor)
    os.waitpid(screen.pid, 0)
    machine.wait(lambda: not left_over(project), 5, "the unit is gone")


def test_the_programs_of_the_apps_virtual_environment(machine: Machine, project: Project) -> None:
    machine.run("sh", "-c", f"cd {project.folder} && mkdir -p .venv/bin && touch .venv/pyvenv.cfg main.py")
    machine.run("ln", "-s", "/usr/bin/python3", f"{project.folder}/.venv/bin/python")
    project.write(".venv/bin/tool", "#!/bin/sh\necho its own\n", 0o755)
    project.define([{"name": "web", "script": "main.py"}])
    assert project.omnitron("run", "web", "tool").stdout == "its own\n"
    assert project.omnitron("run", "web", "--", "sh", "-c", "tool && command -v python").stdout == (
        f"its own\n{project.folder}/.venv/bin/python\n"
    )


def test_in_the_manager_of_a_user(machine: Machine, project: Project) -> None:
    machine.sandbox.user_manager("alice")
    folder = "/home/alice/run"
    machine.run("install", "-d", "-o", "alice", folder)
    text = json.dumps({"project": "mine", "apps": [{"name": "api", "command": SLEEP, "paths": {"state": True}}]})
    machine.write(f"{folder}/omnitron.config.json", text, owner="alice")
    script = 'id -un; touch "$STATE_DIRECTORY/x" && echo wrote; touch ~/run/x; exit 4'
    done = machine.omnitron("run", "--user", "api", "--", "sh", "-c", script, check=False, user="alice", cwd=folder)
    assert (done.stdout, done.returncode) == ("alice\nwrote\n", 4)
    assert "Read-only file system" in done.stderr
    refused = machine.omnitron("run", "api", "id", check=False, user="alice", cwd=folder)
    assert refused.returncode == 5
    assert "not permitted" in refused.stderr


def test_what_cannot_be_run(project: Project) -> None:
    unknown = project.omnitron("run", "apl", "id", check=False)
    assert (unknown.returncode, "did you mean dev/api?" in unknown.stderr) == (2, True)
    empty = project.omnitron("run", "api", "--", check=False)
    assert (empty.returncode, "there is none" in empty.stderr) == (2, True)
