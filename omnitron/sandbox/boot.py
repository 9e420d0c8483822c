"""The boot of a machine: starts systemd-nspawn, waits for the systemd inside, and explains failures."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from omnitron.errors import NotPermittedError, OmnitronError
from omnitron.sandbox.binds import Bind, mount_points, separate_mounts
from omnitron.sandbox.state import Options, RunDirectory

_SCRIPT = Path(__file__).with_name("boot.sh")
# Joins each control group before the --, then runs the command after it.
_JOIN = 'while [ "$1" != -- ]; do echo 0 >"$1"; shift; done; shift; exec "$@"'
# The mounts of a machine are not visible on the host, and unmounts on the host reach the machine: it keeps no
# device of the host busy.
_NAMESPACE = ("setsid", "--fork", "unshare", "--mount", "--propagation", "slave")
_NSPAWN = (
    "--quiet",
    "--register=no",  # there is no machined
    "--keep-unit",
    "--link-journal=no",  # the host's journal directory stays the host's
    "--console=read-only",  # `pipe` hides the messages of systemd during the boot
    "--notify-ready=yes",
    "--system-call-filter=bpf keyctl add_key",  # needed to run containers inside
)
# `is-system-running` fails on `degraded` too. The bus may not answer yet although its socket exists.
_SETTLE = """
until state=$(systemctl is-system-running) || [ "$state" = degraded ]; do
    case $state in maintenance | stopping) echo "its systemd is in state $state" >&2; exit 1 ;; esac
    sleep 0.02
done
systemctl start dbus.service || exit
until busctl --timeout=1 call \
    org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.DBus.Peer Ping 2>/dev/null; do
    sleep 0.02
done
systemctl --version
"""
SETTLE = ("/bin/sh", "-c", _SETTLE)

_CONSOLE_LINES = 8
_REFUSED = re.compile(r"operation not permitted|permission denied|read-only file system", re.IGNORECASE)
_PRIVILEGED = "in a container, run it with all privileges (docker run --privileged)"
# Sentences of tools that have no codes; they run with LC_ALL=C.
_ADVICE = (
    ("unknown filesystem type 'overlay'", "use a kernel that has overlayfs, or load it: modprobe overlay"),
    ("No space left on device", "free some memory or space on /run: the machine's files are kept there"),
    ("Unit dbus.service not found", "install a system bus in the machine's root: apt-get install dbus"),
)


class BootError(OmnitronError):
    """A machine did not boot; `console` has the last lines on its console."""

    def __init__(self, name: str, why: str, console: Sequence[str] = ()) -> None:
        self.console = tuple(console)
        output = "\n".join((why, *console))
        advice = next((hint for needle, hint in _ADVICE if needle in output), None)
        super().__init__(f"cannot boot machine '{name}': {why}", hint=advice)

    def lines(self) -> list[str]:
        """Return the brief, the last lines on the console, the hint."""
        brief, *hint = super().lines()
        return [brief, *(f"  {line}" for line in self.console), *hint]


class BootRefusedError(BootError, NotPermittedError):
    """The kernel refused a mount, a namespace or a control group, even for root."""

    def __init__(self, name: str, why: str, console: Sequence[str] = ()) -> None:
        super().__init__(name, why, console)
        self.hint = _PRIVILEGED


def failure(name: str, why: str, console: Sequence[str] = ()) -> BootError:
    """Return the error for a boot that failed with the message `why` (one line)."""
    return (BootRefusedError if _REFUSED.search(why) else BootError)(name, why, console)


def binds_for(options: Options, shared: Sequence[Bind]) -> list[Bind]:
    """Return the binds: `shared`, and for an overlay of the host the folders of the project that it lacks."""
    if options.root != "/":
        return list(shared)
    code = sorted({Path(sys.prefix), Path(sys.base_prefix), Path(__file__).parents[2]})
    # Container runtimes mount these files over empty ones.
    names = [Path("/etc/hosts"), Path("/etc/resolv.conf")]
    needed = [Bind(Path.cwd()), *(Bind(path, read_only=True) for path in (*code, *names))]
    mounts = mount_points(Path("/proc/self/mountinfo").read_text())
    targets = {bind.target or bind.source for bind in shared}
    # A mount point below another, later mount does not exist.
    return [*shared, *(b for b in separate_mounts(needed, mounts) if b.source not in targets and b.source.exists())]


def launch(name: str, run: RunDirectory, groups: Sequence[Path], options: Options, binds: Sequence[Bind]) -> None:
    """Start systemd-nspawn in the control `groups`, detached: it continues to run after the caller ends.

    Returns as soon as it runs in its groups; `wait_ready` waits for the rest of the boot.
    """
    script = ["sh", str(_SCRIPT), str(run.filesystem), options.root, name]
    nspawn = [*_NSPAWN, *(bind.option() for bind in binds)]
    if options.private_network:
        nspawn.append("--private-network")
    if options.root == "/":
        # The overlay has the files for name resolution and time zone already.
        nspawn += ["--resolv-conf=off", "--timezone=off"]
    # A guest must not mount the entries of the host's fstab.
    init = ["-b", f"systemd.unit={options.unit}", "fstab=no"]
    join = ["sh", "-euc", _JOIN, "sh", *map(str, groups), "--"]
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C",
        "NOTIFY_SOCKET": str(run.notify),
        "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
    }
    with run.console.open("wb") as console:
        done = subprocess.run(
            [*join, *_NAMESPACE, *script, *nspawn, *init],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            env=environment,
            check=False,
        )
    if done.returncode:
        raise ended(name, run)


def wait_ready(name: str, run: RunDirectory, notify: socket.socket, alive: Callable[[], bool], timeout: float) -> int:
    """Wait, at most `timeout` seconds, until the init reports the end of its boot; return its pid.

    `alive` returns whether the machine still has a process. BootError if it has none, or after the timeout.
    """
    leader = 0
    notify.settimeout(0.1)
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            message = notify.recv(4096).decode(errors="replace").splitlines()
        except TimeoutError:
            if not alive():
                raise ended(name, run) from None
            continue
        for line in message:
            key, _, value = line.partition("=")
            if key == "X_NSPAWN_LEADER_PID":
                leader = int(value)
        if "READY=1" in message:
            return leader
    raise failure(name, f"it is not ready after {timeout:g} s", _console(run))


def settle(name: str, run: RunDirectory, argv: Sequence[str], timeout: float) -> int:
    """Wait until the systemd inside and its bus answer; return the version of systemd.

    `argv` runs `SETTLE` inside. BootError if it fails, or takes more than `timeout` seconds.
    """
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        why = f"its systemd or its bus does not answer after {timeout:.0f} s"
        raise failure(name, why, _console(run)) from None
    version = re.match(r"systemd (\d+)", done.stdout)
    if done.returncode or not version:
        why = (done.stderr.strip().splitlines() or ["its systemd does not answer"])[-1]
        raise failure(name, why, _console(run))
    return int(version[1])


def ended(name: str, run: RunDirectory) -> BootError:
    """Return the error for a machine whose last process ended before it was ready."""
    console = _console(run) or [_silence(run)]
    return failure(name, console[-1], console[:-1])


def _silence(run: RunDirectory) -> str:
    full = shutil.disk_usage(run.path).free == 0
    return f"{run.path}: No space left on device" if full else "systemd-nspawn ended at once"


def _console(run: RunDirectory) -> list[str]:
    """Return the last lines on the console, without colours and the reference of mount(8) to the kernel log."""
    text = run.console.read_bytes().decode(errors="replace")
    plain = (re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).strip() for line in text.splitlines())
    return [line for line in plain if line and "dmesg(1)" not in line][-_CONSOLE_LINES:]
