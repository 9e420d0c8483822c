"""Evaluates a definition written in Python, in a process of its own and as the file's owner."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

from omnitron.definition import trust
from omnitron.definition.source import KeyPath, Source, read_text
from omnitron.errors import DefinitionError, NotPermittedError, Problem

TIMEOUT_S = 10.0
MAX_RESULT_BYTES = 8 << 20

CHILD = Path(__file__).with_name("child.py")


def evaluate(path: Path, kind: str, *, timeout_s: float = TIMEOUT_S) -> Source:
    """Run the Python file at `path` and return what its one `define_<kind>` call said.

    Raises DefinitionError when it is not Python, raises, exits, hangs or defines nothing.
    """
    text = read_text(path)
    try:
        with warnings.catch_warnings(action="ignore"):  # the child says them
            tree = ast.parse(text, filename=str(path))
            compile(tree, str(path), "exec", dont_inherit=True)
    except SyntaxError as error:
        raise DefinitionError([Problem(str(path), error.lineno or 0, "", f"cannot parse: {error.msg}")]) from error
    except (RecursionError, MemoryError) as error:
        raise DefinitionError([Problem(str(path), 0, "", "cannot parse: nested too deeply")]) from error
    answer = _ask_child(path, kind, timeout_s)
    lines = _PythonLines(tree, answer["line"])
    if "error" in answer:
        keys = tuple(answer.get("path", ()))
        where = ".".join(map(str, keys))
        raise DefinitionError([Problem(str(path), lines(keys), where, answer["error"])])
    return Source(path, answer["data"], lines)


def _ask_child(path: Path, kind: str, timeout_s: float) -> dict[str, Any]:
    read_end, write_end = os.pipe()
    try:
        child = subprocess.Popen(
            # -B: evaluated as another user, it could not write there; as root, it should not.
            [sys.executable, "-B", str(CHILD), str(path), kind, str(write_end)],
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno() if _has_stderr() else subprocess.DEVNULL,
            cwd=path.parent,
            pass_fds=(write_end,),
            start_new_session=True,
            **_as_owner(path),
        )
    except PermissionError as error:
        os.close(read_end)
        raise _interpreter_unreadable(path) from error
    finally:
        os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        return _answer(child, pipe, path, timeout_s)


def _has_stderr() -> bool:
    try:
        return sys.stderr.fileno() >= 0
    except (OSError, ValueError, AttributeError):
        return False


def _as_owner(path: Path) -> dict[str, Any]:
    """The arguments of Popen that drop from root to the owner of the definition."""
    if os.geteuid() != 0 or path.stat().st_uid == 0:
        return {}
    account = trust.owner(path)
    groups = os.getgrouplist(account.pw_name, account.pw_gid)
    environment = {
        "HOME": account.pw_dir,
        "USER": account.pw_name,
        "LOGNAME": account.pw_name,
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": os.environ.get("LANG", "C.UTF-8"),
    }
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": groups, "env": environment}


def _interpreter_unreadable(path: Path) -> NotPermittedError:
    name = trust.owner(path).pw_name
    return NotPermittedError(
        f"cannot evaluate {path} as its owner {name}: {name} may not read the Python interpreter {sys.executable}",
        hint="install omnitron where every user can read it: under /opt or /usr",
    )


def _answer(child: subprocess.Popen[bytes], pipe: Any, path: Path, timeout_s: float) -> dict[str, Any]:
    import select
    import time

    deadline = time.monotonic() + timeout_s
    received = b""
    ended = os.pidfd_open(child.pid)
    try:
        while (left := deadline - time.monotonic()) > 0 and len(received) <= MAX_RESULT_BYTES:
            # The end of the child, not only of the pipe: what a definition started may hold that open.
            ready = select.select([pipe, ended], [], [], left)[0]
            chunk = os.read(pipe.fileno(), 1 << 16) if pipe in ready else b""
            received += chunk
            if ready and not chunk:
                return _parsed(received, child.wait(timeout=left), path)
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


def _parsed(received: bytes, status: int, path: Path) -> dict[str, Any]:
    try:
        answer = json.loads(received)
    except (ValueError, RecursionError):
        if not received and os.geteuid() == 0 != path.stat().st_uid:
            raise _interpreter_unreadable(path) from None
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        return {"error": f"cannot evaluate: it {how} before it had defined anything", "line": 0}
    if isinstance(answer, dict) and isinstance(answer.get("line"), int) and answer.keys() & {"data", "error"}:
        return answer
    return {"error": "cannot evaluate: it wrote over the answer", "line": 0}


class _PythonLines:
    """Follows key paths through the literals of the `define_*` call in a module's syntax tree."""

    def __init__(self, tree: ast.Module, line: int) -> None:
        self.first = line
        self.assigned = {
            target.id: node.value
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        inside = [call for call in calls if call.lineno <= line <= (call.end_lineno or call.lineno)]
        named = [call for call in inside if _called(call).startswith("define_")]
        self.call: ast.AST | None = next(iter(named or inside), None)

    def __call__(self, path: KeyPath) -> int:
        line, node = self.first, self.call
        for key in path:
            node = self._inner(node, key)
            if node is None:
                break
            line = node.lineno if isinstance(node, ast.expr) else line
        return line

    def _inner(self, node: ast.AST | None, key: str | int) -> ast.AST | None:
        if isinstance(node, ast.Name):
            node = self.assigned.get(node.id)
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg == key:
                    return keyword.value
            return self._inner(node.args[0], key) if node.args else None
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            return next((v for k, v in pairs if isinstance(k, ast.Constant) and str(k.value) == key), None)
        if isinstance(node, ast.List | ast.Tuple) and isinstance(key, int) and key < len(node.elts):
            return node.elts[key]
        return None


def _called(call: ast.Call) -> str:
    return getattr(call.func, "attr", "") or getattr(call.func, "id", "")
