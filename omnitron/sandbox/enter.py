"""Command lines that run a command inside a machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NAMESPACES = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd")
# The process moves into the machine's control group, so that the systemd there can see it. Only the process inside
# the pid namespace may move: one outside has pid 0 there, and `systemctl status` fails on that. The file is opened
# before entering, because in the machine's cgroup namespace it may not be writable.
_OPEN = 'exec 3>"$1"; shift; exec "$@"'
_MOVE = '{ echo 0 >&3; } 2>/dev/null; exec 3>&-; exec "$@"'


@dataclass(frozen=True)
class Account:
    """A user account of the machine."""

    name: str
    uid: int
    gid: int
    home: str

    @classmethod
    def parse(cls, line: str) -> Account:
        """Return the account of a line of passwd(5)."""
        name, _, uid, gid, _, home, _ = line.rstrip("\n").split(":")
        return cls(name, int(uid), int(gid), home)


ROOT = Account("root", 0, 0, "/root")


def command_line(
    leader: int,
    group: Path,
    argv: Sequence[str],
    *,
    account: Account = ROOT,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> list[str]:
    """Return the command line, for root on the host, that runs `argv` in the machine whose init is `leader`.

    `group` is the `cgroup.procs` of the group to join. The environment is PATH, HOME, USER, LANG, TERM, the
    addresses of the account's user manager where one runs, and `env`; `cwd` is a path inside, `/` by
    default. The exit status is the command's: 127 if there is no such program, 126 if it cannot be run.
    """
    enter = ["nsenter", f"--target={leader}", *_NAMESPACES, "/bin/sh", "-c", _MOVE, "sh"]
    variables = _environment(leader, account) | dict(env or {})
    return [
        *("/bin/sh", "-c", _OPEN, "sh", str(group)),
        *enter,
        *_become(account),
        *("/usr/bin/env", "-i", f"--chdir={cwd or '/'}"),
        *(f"{key}={value}" for key, value in variables.items()),
        *argv,
    ]


def _own_programs() -> str:
    """Return the folder of `omnitron` if it is a virtual environment, for calls of it inside."""
    is_virtual = sys.prefix != sys.base_prefix
    return f"{Path(sys.executable).parent}:" if is_virtual else ""


def _become(account: Account) -> list[str]:
    if account == ROOT:
        return []
    return ["/usr/bin/setpriv", f"--reuid={account.uid}", f"--regid={account.gid}", "--init-groups"]


def _environment(leader: int, account: Account) -> dict[str, str]:
    variables = {
        "PATH": f"{_own_programs()}{_PATH}",
        "HOME": account.home,
        "USER": account.name,
        # The only UTF-8 locale that every root has.
        "LANG": "C.UTF-8",
        "TERM": os.environ.get("TERM", "dumb"),
    }
    runtime = f"/run/user/{account.uid}"
    inside = Path(f"/proc/{leader}/root{runtime}")
    if inside.is_dir():
        variables["XDG_RUNTIME_DIR"] = runtime
    if (inside / "bus").exists():
        variables["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={runtime}/bus"
    return variables
