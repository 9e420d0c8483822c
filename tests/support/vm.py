"""A whole machine without hardware support for it: Debian on user-mode Linux, with cgroup v2 and all its controllers.

It boots from an image of `debian_root`, on a copy of its own that is gone with it. What is to be run goes over its
serial line to `vm_agent.py`. Its processors are one, and making a process takes it some ten times as long.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omnitron.errors import OmnitronError

KERNEL = "linux.uml"
MEMORY = "1G"
IMAGE_SIZE = "3G"  # sparse
BOOT_S = 90.0
PIECE = 1000
"""Bytes that its serial line surely takes at once: what is too much for it is lost, unsaid."""
TAKEN_S = 60.0

NOT_NEEDED = (
    *("getty@tty1.service", "serial-getty@ttyS0.service", "systemd-logind.service", "systemd-user-sessions.service"),
    *("systemd-modules-load.service", "modprobe@.service", "systemd-sysctl.service", "systemd-random-seed.service"),
    *("ldconfig.service", "systemd-update-done.service", "systemd-journal-catalog-update.service"),
    *("dev-hugepages.mount", "dev-mqueue.mount", "run-lock.mount", "systemd-remount-fs.service"),
    *("systemd-tmpfiles-setup-dev-early.service", "systemd-tmpfiles-setup-dev.service"),
)

AGENT_PROGRAM = Path(__file__).with_name("vm_agent.py")
AGENT = """\
[Unit]
Description=takes commands from the serial line
DefaultDependencies=no
After=local-fs.target systemd-tmpfiles-setup.service dbus.socket
Wants=dbus.socket

[Service]
ExecStartPre=/bin/sh -c 'mkdir -p /opt/host && mount -t hostfs none /opt/host -o "$OMNITRON_CHECKOUT"'
ExecStartPre=/bin/mkdir -p /opt/omnitron
ExecStartPre=/bin/cp -r /opt/host/omnitron /opt/host/unit_templates /opt/omnitron
ExecStartPre=/usr/bin/python3 -m compileall -q /opt/omnitron/omnitron
ExecStart=/usr/bin/python3 /opt/vm_agent.py /dev/ttyS0
PassEnvironment=OMNITRON_CHECKOUT
TimeoutStartSec=80

[Install]
WantedBy=multi-user.target
"""


class Vm:
    """A running machine; `exec` is that of `omnitron.sandbox.Sandbox`."""

    def __init__(self, process: subprocess.Popen[bytes], to: int, back: int, log: Path) -> None:
        self._process = process
        self._to = to
        self._back = back
        self._log = log
        self._buffered = b""

    def wait(self) -> None:
        """Wait until it takes commands."""
        self._line(BOOT_S)

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
        """Run `argv` inside to its end."""
        words = [*(["env", *(f"{key}={value}" for key, value in env.items())] if env else []), *argv]
        request = {"argv": words, "user": user, "cwd": str(cwd) if cwd else None, "input": input, "timeout": timeout}
        text = json.dumps(request)
        pieces = [text[start : start + PIECE] for start in range(0, len(text), PIECE)]
        for piece in pieces[:-1]:
            self._send(f"+{piece}\n")
            self._line(TAKEN_S)
        self._send(f".{pieces[-1]}\n")
        answer = self._line((timeout or 600) + 30)
        if answer["returncode"] is None:
            raise subprocess.TimeoutExpired(list(argv), timeout or 0)
        return subprocess.CompletedProcess(list(argv), answer["returncode"], answer["stdout"], answer["stderr"])

    def _send(self, line: str) -> None:
        data = memoryview(line.encode())
        while data:
            data = data[os.write(self._to, data) :]

    def _line(self, patience_s: float) -> dict[str, Any]:
        give_up = time.monotonic() + patience_s
        with selectors.DefaultSelector() as selector:
            selector.register(self._back, selectors.EVENT_READ)
            while b"\n" not in self._buffered:
                if not selector.select(max(0.0, give_up - time.monotonic())) or not (
                    part := os.read(self._back, 65536)
                ):
                    tail = self._log.read_text(errors="replace")[-3000:]
                    raise OmnitronError(f"the virtual machine does not answer; it said last:\n{tail}")
                self._buffered += part
        line, _, self._buffered = self._buffered.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found

    def end(self) -> None:
        """Switch it off, as a power cut does: what runs inside are processes of the same session here."""
        while left := _processes_of(self._process.pid):
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process.poll()
            time.sleep(0.02)
        self._process.wait()


def _processes_of(session: int) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(ProcessLookupError):
            if folder.name.isdigit() and os.getsid(int(folder.name)) == session:
                found.append(int(folder.name))
    return found


def image_of(root: Path) -> Path:
    """Return an image of a root directory, made if need be, beside it: its name says what has been added to it."""
    additions = "\n".join((AGENT, AGENT_PROGRAM.read_text(), *NOT_NEEDED))
    image = root.with_name(f"{root.name}-{hashlib.sha256(additions.encode()).hexdigest()[:12]}.img")
    descriptor = os.open(root.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if not image.exists():
            for other in root.parent.glob("*.img"):
                other.unlink()
            _build(root, image)
    finally:
        os.close(descriptor)
    return image


def _build(root: Path, image: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=".image-", dir=root.parent) as draft:
        copy, file = Path(draft) / "root", Path(draft) / "image"
        subprocess.run(["cp", "-a", "--reflink=auto", str(root), str(copy)], check=True)
        units = copy / "etc/systemd/system"
        (units / "omnitron-vm.service").write_text(AGENT)
        (units / "multi-user.target.wants").mkdir(exist_ok=True)
        (units / "multi-user.target.wants/omnitron-vm.service").symlink_to("../omnitron-vm.service")
        # What a machine of a minute needs least, and each takes a second here.
        for unit in NOT_NEEDED:
            (units / unit).unlink(missing_ok=True)
            (units / unit).symlink_to("/dev/null")
        shutil.copy(AGENT_PROGRAM, copy / "opt/vm_agent.py")
        packages = copy / "usr/lib/python3/dist-packages"
        (packages / "omnitron.pth").write_text("/opt/omnitron\n")
        import inotify_simple

        # Debian has all that it needs but this.
        shutil.copy(inotify_simple.__file__, packages / "inotify_simple.py")
        (copy / "etc/fstab").write_text("")
        (copy / "etc/machine-id").write_text("")
        subprocess.run(["truncate", f"--size={IMAGE_SIZE}", str(file)], check=True)
        command = ["mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-d", str(copy), str(file)]
        subprocess.run(command, check=True, capture_output=True)
        file.rename(image)


@contextmanager
def booted(root: Path, checkout: Path) -> Iterator[Vm]:
    """Boot a machine from a root directory, with a copy of `checkout` on /opt/omnitron."""
    if not shutil.which(KERNEL):
        raise OmnitronError(
            "cannot boot a virtual machine: there is no linux.uml", hint="apt-get install user-mode-linux"
        )
    image = image_of(root)
    with tempfile.TemporaryDirectory(prefix="omnitron-vm-") as folder:
        guest_in, to = os.pipe()
        back, guest_out = os.pipe()
        log = Path(folder) / "console"
        # The kernel's command line takes no path with a space.
        (Path(folder) / "checkout").symlink_to(checkout)
        command = [
            *(KERNEL, f"mem={MEMORY}", f"ubd0={folder}/cow,{image}", "root=/dev/ubda", "rw", "quiet"),
            *("con=null", "con0=null,fd:1", f"ssl0=fd:{guest_in},fd:{guest_out}", "ssl=null"),
            *(f"uml_dir={folder}/", "umid=vm", "systemd.unit=multi-user.target", "systemd.mask=tmp.mount"),
            f"systemd.setenv=OMNITRON_CHECKOUT={folder}/checkout",
        ]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(guest_in, guest_out),
                start_new_session=True,
                env={**os.environ, "TMPDIR": folder},
            )
        os.close(guest_in)
        os.close(guest_out)
        vm = Vm(process, to, back, log)
        try:
            vm.wait()
            yield vm
        finally:
            vm.end()
            os.close(to)
            os.close(back)
