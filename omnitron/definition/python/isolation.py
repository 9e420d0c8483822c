"""Runs foreign code for one answer: in a process and session of its own, as the file's owner, with a deadline.

The child writes one JSON object to a pipe: `{"data": …, "line": N}` or `{"error": …, "line": N}`.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from omnitron.authority.accounts import account_of
from omnitron.errors import NotPermittedError, printable

TIMEOUT_S = 10.0
MAX_RESULT_BYTES = 8 << 20
MAX_OUTPUT_BYTES = 64 << 10
"""Of what it prints; the rest is left out."""
PR_SET_CHILD_SUBREAPER = 36
"""prctl(2): orphans below this process become its children."""


class RuntimeUnreadableError(NotPermittedError):
    """The owner of a definition may not run what would evaluate it."""

    def __init__(self, path: Path, owner: int, program: str) -> None:
        name = account_of(path, owner).pw_name
        super().__init__(
            f"cannot evaluate {path} as its owner {name}: {name} may not run {program}",
            hint="install omnitron, and what it needs, where every user can read it: under /opt or /usr",
        )


def ask(command: Callable[[int], list[str]], path: Path, owner: int, *, timeout_s: float) -> dict[str, Any]:
    """Return the answer of the child that `command` starts, given the file descriptor to write it to.

    It runs as `owner`, whose the file is. What it prints goes to stderr, made harmless for a terminal. One that says
    nothing gives an `error` too.
    """
    output = bytearray()
    try:
        with _all_ended():
            return _ask(command, path, owner, timeout_s, output)
    finally:
        _show(output)


def _show(output: bytearray) -> None:
    """Print what the child printed: raw bytes could act on the terminal of root."""
    text = printable(output[:MAX_OUTPUT_BYTES].decode(errors="backslashreplace"), keep="\n\t")
    if len(output) > MAX_OUTPUT_BYTES:
        text += "\n(more was printed)\n"
    with contextlib.suppress(OSError, ValueError, AttributeError):  # there may be no stderr
        sys.stderr.write(text)


def _ask(
    command: Callable[[int], list[str]], path: Path, owner: int, timeout_s: float, output: bytearray
) -> dict[str, Any]:
    read_end, write_end = os.pipe()
    output_end, printed = os.pipe()
    argv = command(write_end)
    # Another user may be unable to run it: then it has not said a word.
    suspect = RuntimeUnreadableError(path, owner, argv[0]) if os.geteuid() == 0 != owner else None
    try:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=printed,
            cwd=path.parent,
            pass_fds=(write_end,),
            start_new_session=True,
            **_as_owner(path, owner),
        )
    except PermissionError as error:
        os.close(read_end)
        os.close(output_end)
        raise RuntimeUnreadableError(path, owner, argv[0]) from error
    finally:
        os.close(write_end)
        os.close(printed)
    with os.fdopen(read_end, "rb") as pipe, os.fdopen(output_end, "rb", buffering=0) as screen:
        os.set_blocking(output_end, False)
        try:
            return _answer(child, pipe, screen, output, suspect, timeout_s)
        finally:
            _drain(screen, output)


def _drain(screen: Any, output: bytearray) -> bool:
    """Move what was printed to `output`, of which more than its limit is dropped; return whether more may come."""
    for _ in range(16):  # one that prints without end must not keep us here
        chunk = screen.read(1 << 16)
        if not chunk:
            return chunk is None
        output += chunk[: MAX_OUTPUT_BYTES + 1 - len(output)]
    return True


@contextlib.contextmanager
def _all_ended() -> Iterator[None]:
    """End what was started meanwhile and has left its parents, so that nothing foreign outlives the answer."""
    import ctypes  # 1 ms, and definitions in data files do without

    before = _children()
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        # Each that is ended may leave children of its own to us.
        while left := _children() - before:
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                except (ProcessLookupError, ChildProcessError):
                    pass
                except PermissionError:  # it has become another user
                    before.add(pid)
        prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def _children() -> set[int]:
    children: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that has just ended
            children |= set(map(int, (task / "children").read_text().split()))
    return children


def _as_owner(path: Path, owner: int) -> dict[str, Any]:
    """The arguments of Popen that drop from root to the owner of the definition."""
    if os.geteuid() != 0 or owner == 0:
        return {}
    account = account_of(path, owner)
    groups = os.getgrouplist(account.pw_name, account.pw_gid)
    environment = {
        "HOME": account.pw_dir,
        "USER": account.pw_name,
        "LOGNAME": account.pw_name,
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": os.environ.get("LANG", "C.UTF-8"),
    }
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": groups, "env": environment}


def _answer(
    child: subprocess.Popen[bytes],
    pipe: Any,
    screen: Any,
    output: bytearray,
    suspect: RuntimeUnreadableError | None,
    timeout_s: float,
) -> dict[str, Any]:
    deadline = time.monotonic() + timeout_s
    received = b""
    ended = os.pidfd_open(child.pid)
    waiting = [pipe, ended, screen]
    try:
        while (left := deadline - time.monotonic()) > 0 and len(received) <= MAX_RESULT_BYTES:
            # The end of the child, not only of the pipe: what a definition started may hold that open.
            ready = select.select(waiting, [], [], left)[0]
            if screen in ready and not _drain(screen, output):
                waiting.remove(screen)
            chunk = os.read(pipe.fileno(), 1 << 16) if pipe in ready else b""
            received += chunk
            if (pipe in ready or ended in ready) and not chunk:
                return _parsed(received, child.wait(timeout=left), suspect)
    except subprocess.TimeoutExpired:
        pass
    finally:
        os.close(ended)
        # The whole session: a definition may have started more.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    if len(received) > MAX_RESULT_BYTES:
        return {"error": f"cannot evaluate: it defines more than {MAX_RESULT_BYTES >> 20} MiB", "line": 0}
    return {"error": f"cannot evaluate: it did not finish within {timeout_s:g} s", "line": 0}


def _is_sound(answer: dict[str, Any]) -> bool:
    """Return whether an answer has the shape of one: what was run could have written anything."""
    line, path = answer.get("line"), answer.get("path", [])
    if not isinstance(line, int) or not 0 <= line < 1 << 31:
        return False
    if not isinstance(path, list) or not all(isinstance(key, str | int) for key in path):
        return False
    return isinstance(answer["error"], str) if "error" in answer else "data" in answer


def _parsed(received: bytes, status: int, suspect: RuntimeUnreadableError | None) -> dict[str, Any]:
    try:
        answer = json.loads(received)
    except (ValueError, RecursionError):
        if not received and suspect:
            raise suspect from None
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        return {"error": f"cannot evaluate: it {how} before it had defined anything", "line": 0}
    if isinstance(answer, dict) and _is_sound(answer):
        return answer
    return {"error": "cannot evaluate: it wrote over the answer", "line": 0}
